{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "5655e5beb85c9905b712affc5e48eb6ab6d6c5dda1d54c15c0dc07a833706cce332dd2159b3f7e8be3532519491d629379d04f3789a7225ad48f26a13d400700"
    }
  ]
}
