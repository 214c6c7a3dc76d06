{
  "version": 1,
  "signatures": [
    {
      "key_id": "4d49f6a687b31ebc",
      "signature": "819367ceddcc42cf9bf880e5a2b91d7ffc7152ae91e9f9062f1d3645a6ee646eb4ad434506602e5d9f60de396237a82bb40f7664b06345df7c1f045540adb106"
    },
    {
      "key_id": "69ada42db218bb5e",
      "signature": "d8cfb8fc1150345f1821232b9a0a648d66408a8d153210cd8a2a6677c009ad98be125a9f901602e53f1755a352e28713ef5d91b197c2e9cc5ff6a57dbfd1d105"
    }
  ]
}
