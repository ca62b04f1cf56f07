"""The hospital node: studies arrive, are analysed as soon as they are complete, and results go back; nothing is lost.

Processes of their own (`supervisor`) share one durable store (`store`): a listener and other doors put images in, the clerk
decides when a study is ready (`assembly`), workers analyse it (`worker`), the deliverer sends results (`lvo.delivery`), and a
small web service shows health and metrics (`http`). Every process may be killed at any moment.
"""
