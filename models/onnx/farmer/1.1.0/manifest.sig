{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "e89206162e48bcb26c0d3977d04b65da04d6b45c311db583355bede9ed9567b8084165b3c81705cac65c1cccc0c6165370885738292ef67df0c6b922d3c6c10b"
    }
  ]
}
