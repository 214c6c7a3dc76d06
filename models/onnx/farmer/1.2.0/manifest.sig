{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "5ed0517e389de1adbc7c1cb68b1de021709de1999b997e35685d3e91835d3999e1cfb8ce1906cf9fc259328230650a6694397a5d7a2608ee14e6e3bc1c38ad0a"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "037769e8331c31bb54e9491e9a75a52010d96080fe2a10bfd73f1d90dd0e82e294c0a57a3d9addb62a7859cccae41c21ccb0792b3fdfc826c64eea69fb27f30f"
    }
  ]
}
