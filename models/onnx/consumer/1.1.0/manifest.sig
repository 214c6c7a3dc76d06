{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "2524853fce983bd904e93a0773dd0666d3c3d2c7349491c13538edb75d31628155af55225e5a1a5e2dd0b79d29fc07bf7ff818b6a834de1b27caaad8d4531a09"
    }
  ]
}
