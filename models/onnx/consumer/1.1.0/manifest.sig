{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "955c1e294f109d1f30d36e2e71b68d8b3ce557d9d5a415403a3e550397bcfa596a594c4e847c8049fc3be60bf683097dc83aea58523b78c4e46c0464bf013705"
    }
  ]
}
