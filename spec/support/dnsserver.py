# A small DNS server, which answers as the name that is asked for says: well,
# late, or with malice. It prints a line for each question: kind, name, id.
# Where an answer must not be believed, its address is 6.6.6.6 or 666::.
import random
import socket
import struct

GOOD = {1: bytes([192, 0, 2, 1]), 28: bytes.fromhex("20010db8") + bytes(11) + b"\1"}
EVIL = {1: bytes([6, 6, 6, 6]), 28: bytes.fromhex("0666") + bytes(14)}
asked = {}


class Question:
    def __init__(self, message):
        self.id, at, labels = message[:2], 12, []
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        self.name = ".".join(labels)
        self.kind = struct.unpack(">H", message[at + 1:at + 3])[0]
        self.text = message[12:at + 5]
        self.end = at + 5  # where the records of an answer begin
        self.message = message

    def answer(self, *records, id=None, flags=0x8180, count=None, text=None):
        count = len(records) if count is None else count
        return (id or self.id) + struct.pack(">HHHHH", flags, 1, count, 0, 0) \
            + (text or self.text) + b"".join(records)

    def evil(self, **how):
        return self.answer(record(self.kind, EVIL[self.kind]), **how)

    def good(self):
        return self.answer(record(self.kind, GOOD[self.kind]))


def pointer(at):
    return struct.pack(">H", 0xC000 + at)


def record(kind, data, owner=pointer(12)):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def ladder(q, steps):
    """Names that begin with a label and go on at the one before."""
    records, at, before = [], q.end, 12
    for _ in range(steps):
        records.append(record(5, b"\x3f" + b"x" * 63 + pointer(before),
                              pointer(before)))
        before = at + 12
        at += len(records[-1])
    return q.answer(*records, record(q.kind, EVIL[q.kind], pointer(before)))


def answers(q, n):
    """What goes to the client, after its n-th question of this kind."""
    first, _, number = q.name.split(".")[0].partition("-")
    number = int(number or 0)
    other = Question(q.message[:12] + b"\5other\4test\0" + q.text[-4:])
    table = {
        "plain": lambda: [q.good()],
        "two": lambda: [q.answer(record(q.kind, GOOD[q.kind]), record(q.kind, EVIL[q.kind][::-1]))],
        "shout": lambda: [q.answer(record(q.kind, GOOD[q.kind]), text=q.text[:-4].upper()
                                   + q.text[-4:])],
        # it leads on to "Real.<the rest of the name>", and from there again
        "alias": lambda: [q.answer(
            record(5, b"\4Real" + pointer(12 + 6)),
            record(5, b"\6really" + pointer(q.end + 12), pointer(q.end + 12)),
            record(q.kind, GOOD[q.kind],
                   pointer(q.end + 12 + 7 + 12)))],
        "none": lambda: [q.answer(flags=0x8183)],
        "refused": lambda: [q.answer(flags=0x8185)],
        "odd": lambda: [q.answer(flags=0x818F)],
        "empty": lambda: [q.answer()],
        "lost": lambda: [q.good()] if n > 1 else [],
        "dead": lambda: [],
        "id": lambda: [q.evil(id=struct.pack(">H", (int.from_bytes(q.id, "big") + i) & 0xFFFF))
                       for i in range(1, 200)] + [q.good()],
        "question": lambda: [q.evil(text=other.text), q.good()],
        "kind": lambda: [q.evil(text=q.text[:-4] + struct.pack(">HH", 29 - q.kind, 1)), q.good()],
        "echo": lambda: [q.message, q.evil(flags=0x0100), q.good()],
        "scraps": lambda: [b"", b"\0", q.id, q.good()[:q.end - 1], q.good()],
        "cut": lambda: [q.good()[:q.end + number]],
        "count": lambda: [q.answer(record(q.kind, EVIL[q.kind]), count=65535)],
        "size": lambda: [q.answer(record(q.kind, EVIL[q.kind] + b"\6"))],
        "itself": lambda: [q.answer(record(q.kind, EVIL[q.kind], pointer(q.end)))],
        "each": lambda: [q.answer(record(5, pointer(q.end), pointer(q.end + 12)))],
        "forward": lambda: [q.answer(record(5, pointer(q.end + 14) + b"\4evil\0"))],
        "label": lambda: [q.answer(record(q.kind, EVIL[q.kind],
                                          b"\1x" + pointer(q.end)))],
        "ladder": lambda: [ladder(q, number)],
        "reserved": lambda: [q.answer(record(q.kind, EVIL[q.kind], b"\x80" + b"x" * 128 + b"\0"))],
        "stranger": lambda: [q.answer(record(q.kind, EVIL[q.kind], b"\5other\4test\0"),
                                      record(q.kind, GOOD[q.kind]))],
        "escape": lambda: [q.answer(record(5, b"\6\x1b[31m.\0"),
                                    record(q.kind, GOOD[q.kind], b"\6\x1b[31m.\0"))],
        "long": lambda: [q.answer(flags=0x8380)],
    }
    if first == "noise":
        noise = random.Random(number * 100 + q.kind)
        return [q.answer(noise.randbytes(noise.randrange(400)), count=noise.randrange(65536))]
    return table[first]()


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = None
while tcp is None:  # the same port for both
    udp.close()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    try:
        tcp = socket.create_server(udp.getsockname())
    except OSError:
        pass
forger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("port", udp.getsockname()[1])

while True:
    message, client = udp.recvfrom(512)
    q = Question(message)
    print(q.kind, q.name, q.id.hex())
    n = asked[q.kind, q.name] = asked.get((q.kind, q.name), 0) + 1
    if q.name.startswith("stranger"):
        forger.sendto(q.evil(), client)
    for text in answers(q, n):
        udp.sendto(text, client)
    if q.name.startswith("long"):
        s, _ = tcp.accept()
        with s, s.makefile("rb") as f:
            again = Question(f.read(int.from_bytes(f.read(2), "big")))
            text = again.answer(*[record(again.kind, GOOD[again.kind][:-1] + bytes([i]))
                                  for i in range(200)])
            text = struct.pack(">H", len(text)) + text
            for i in range(0, len(text), 700):
                s.sendall(text[i:i + 700])
