{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "bcc2263fe7eed6d7826eb70276d952276bf185996bfef679c162560bfabdfbad9fd4cc46c3162bcae77904d548ef196a161ffd9a6f1b0ee873917ff081984409"
    }
  ]
}
