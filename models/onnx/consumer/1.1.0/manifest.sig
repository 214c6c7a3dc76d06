{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "77dfd4dd70643468237e42e1ce8fecb4aac24ec6eb8a5ca6b01461677db3cd49da628828cf0eae99f41a344182aff1f838beb0bdd09ffa0738184a996d14e803"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "57bd2f2e111874f9e7e9844588351dbe9cbf8238481481656e38130373d6b622e600266f495f362fec40ec3c59143e8b1c67052238fea3b8aa21ce90861e7a07"
    }
  ]
}
