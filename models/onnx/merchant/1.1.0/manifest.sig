{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "10dfeb4fad06946355628c3e48b303276b1dd9d366f5b054c2fd894bd000f96d014997af6e5a68f0fa7b7e6d297aede40fecf49fc4a23877006c460a1dbe2b00"
    }
  ]
}
