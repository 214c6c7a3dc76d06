{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "b57965b6d9754031e788a37b1a5e0fa542c00118b5593b5c856c9679efdd6bc417640deb75f0a63144b69c3eb26d045f0a85b470d8cdeb623af8d6e4660ee703"
    }
  ]
}
