{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "c03085abc4a51b66ece782889861366bac975fe5520c00f8e4b9e8764abdb3337207a5bfece43b8dc30b1a4496d555143a25f8c25624157106db93b00751cf0c"
    }
  ]
}
