{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "a165441bac1b6c57d2ebd03926509d5351d9d09d9255528c2dfc4c1f7e45180fe250b7acccf42568cefe0aee36ecb259e778594b4524789849ebb6f5145aee01"
    }
  ]
}
