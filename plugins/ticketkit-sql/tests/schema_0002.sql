-- What a database of the second revision may hold: an order that was paid, and of which some money was given back.

INSERT INTO ticketkit_live_events
VALUES ('e', 'Rent', 'Here', 9, 'UTC', NULL, 'o', 'scheduled', 1, '{}', 1);

INSERT INTO ticketkit_orders
  (id, buyer_id, status, lines, policy, expires_at, placed_until, extension, seen, created_at, extra, version)
VALUES (
  'o', 'b', 'completed', '[["ticket", "Row A", 2000, "USD", "t", "e", "A1"]]',
  '{"hold": 9, "payment_grace": 1, "payment_window": 2, "tickets_per_order": 3, "tickets_on_hold": 4,
    "own_tickets": false, "on_decline": "cancel"}',
  9, 9, 'none', '[]', 1, '{}', 3
);

INSERT INTO ticketkit_order_copies
VALUES ('o', 'b', 'completed', NULL, 2000, 'USD', 9, 'c', 3, '["c"]', NULL, 1);

INSERT INTO ticketkit_charges
VALUES ('c', 'o', 'b', 2000, 'USD', 'completed', NULL, false, 'fake', 'r', NULL, NULL, false, NULL, 700, '["x", "y"]', 1, '{}', 5);

INSERT INTO ticketkit_refunds
VALUES
  ('x', 'c', 'o', 500, 'USD', '', 'completed', NULL, NULL, NULL, 1, 1),
  ('y', 'c', 'o', 200, 'USD', '', 'created', NULL, NULL, NULL, 1, 1);
