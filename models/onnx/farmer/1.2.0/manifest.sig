{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "6986d881490324bf9747a68c3679a0d5999a8b2d228058376dcbc9d7ab3924c4a0b4b301b41f493dfefee9f749058a5477b561dbcec0cdeb6f438f0a7d0d1d0d"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "7d0194dc19c5d895ca697829f4c7f2222eaeb45ae12878d9b054ddeec9bbdf61f59f1465e5e92467c3f2a1aeaf3842b494d52205f5e2bc7f41541ea255fda509"
    }
  ]
}
