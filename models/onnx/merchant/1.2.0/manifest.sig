{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "b8398c29a568cd2bc0c441752b9a2237e90cdc09f1680942fcd5d693958240affe0212901ae2c7af55f0d7067d15332e4028d7e9be9d190c189537c048dab600"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "cd8f8fce274495467f4461db51abf8272909f31046116fe0ec10c781ff549d1c6605ab74df155c847edf4b10b6ca9fdbe3ced76ebedbb82a04a5028fe43fb102"
    }
  ]
}
