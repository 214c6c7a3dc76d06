{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "3e219a074e6e429ab9c73a3cd9dccad0dcd040756e0021308a31cc1ed169295dfe3473dc668805fb912e06ffed13874db23a9d04cee66d993711050769ea0f0f"
    }
  ]
}
