{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "9f3f8e2270f391c731bb49f15c4f38348d10c19bd42f50c8d5c2f344a4be5fcfaa215d101675787127d5e6e7df733ddd4e443f475fb6f20f87aabc1816ebb802"
    }
  ]
}
