{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "427c25f5c2da99028f9f309d6aac5a2e428bb5be1a5e53862a92cba53fb23b185c1972a15b36a5ce61967cb1839b68dc3c883e6b5f9cb6476cb77c9034c94209"
    }
  ]
}
