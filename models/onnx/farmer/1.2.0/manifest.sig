{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "eec0de699234396fc051194716809f69cccb6a81927040a31eb2359fc243091a739c3d661951f579ae4a7dc78d3384fb67615d5fb8a311e63e8b34bf0a348d03"
    }
  ]
}
