{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "c0987cbd76f0e25b4a0ece9d26b47c8ec768a9ebe2267b9071b543caff6728e4c57648aa26dc6a8820a35c499ae7a22da4ba0d32c6a6ce3295e1c420ebfdb507"
    }
  ]
}
