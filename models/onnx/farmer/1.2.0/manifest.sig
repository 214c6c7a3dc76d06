{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "14600fc81e2541c5e76f94226ce68cbec8f15554e5144584279e516c26c7260e58aa81dc5f78639ae48b93d9d02143ecf5cc5676dc3c942b68096afd82433b0f"
    }
  ]
}
