{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "a736d930417db10fa847f3ea055bf22173aa4880a6590ab86fd8f4b19e15102c1420d8eac3ab677aaab62d35f49568f8e6ff7063ece01067a719e4fb2e406700"
    }
  ]
}
