{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "ef1a7937a7bd4cd02e4a67eb455a16a1a67d56e8ac07c1407d7e9c2b4eea032c94a8e2176f70a416e95e45bb60c6c29ed496cfe017790b23fad30582f1cf1d0f"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "5e7bc606930d75c3ba2e3ca3ce30342fec7fcc2c81bd5f61e3257b09301b3433e504f3363d85f68c41ab2a88be5abdbcc7a3d0ad9a9e1ffa41de3af0e2fa5b0a"
    }
  ]
}
