{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "a6c5471d730778b0733d0d674bcd09621168ac402ee49dc4c7d19804ce7f72c0249108662360a4502aea200805a08e1c94d8536b300eca33484500b4163d2e0d"
    }
  ]
}
