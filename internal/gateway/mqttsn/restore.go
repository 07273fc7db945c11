package mqttsn

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
)

// keptState is the key of what is kept of a client itself.
const keptState = "s"

// stored is what outlives the process of a client that is connected, or asleep.
type stored struct {
	asleep, clean, will, generated, secure bool
	proved                                 bool   // see outbox
	keepAlive, sleep                       uint16 // seconds
	base                                   uint16 // see outbox
	addr                                   netip.AddrPort
	node                                   node
	listener                               string
	method, username                       string // of the identity
}

// Bits of the first byte of a stored client.
const (
	bitAsleep = 1 << iota
	bitClean
	bitWill
	bitGenerated
	bitSecure
	bitForwarded
	bitProved
)

// encode is the flags, three numbers of two bytes, and texts, each behind a length of
// two bytes.
func (s *stored) encode() []byte {
	var flags byte
	for i, set := range []bool{s.asleep, s.clean, s.will, s.generated, s.secure, s.node.forwarded, s.proved} {
		if set {
			flags |= 1 << i
		}
	}
	const most = 80 // mostly
	b := append(make([]byte, 0, most), flags)
	for _, n := range []uint16{s.keepAlive, s.sleep, s.base} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	addr, _ := s.addr.MarshalBinary() // never fails
	for _, text := range []string{string(addr), s.node.id, s.listener, s.method, s.username} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
	}
	return b
}

var errStored = errors.New("the stored client cannot be read")

// decodeStored is the reverse of encode.
func decodeStored(b []byte) (stored, error) {
	const numbers = 7
	if len(b) < numbers {
		return stored{}, errStored
	}
	s := stored{
		asleep: b[0]&bitAsleep != 0, clean: b[0]&bitClean != 0, will: b[0]&bitWill != 0,
		generated: b[0]&bitGenerated != 0, secure: b[0]&bitSecure != 0,
		keepAlive: binary.BigEndian.Uint16(b[1:]), sleep: binary.BigEndian.Uint16(b[3:]), base: binary.BigEndian.Uint16(b[5:]),
	}
	s.node.forwarded, s.proved = b[0]&bitForwarded != 0, b[0]&bitProved != 0
	b = b[numbers:]
	var addr string
	for _, text := range []*string{&addr, &s.node.id, &s.listener, &s.method, &s.username} {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return stored{}, errStored
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		*text, b = string(b[2:n]), b[n:]
	}
	if err := s.addr.UnmarshalBinary([]byte(addr)); err != nil {
		return stored{}, errors.Join(errStored, err)
	}
	return s, nil
}

// keepState has the store keep what a restart needs to go on with the client, with
// the next commit.
func (c *client) keepState() {
	p, base, proved := c.out.whereFrom()
	id := c.link.Identity()
	s := stored{
		asleep: c.state == asleep || c.state == awake, clean: c.clean, will: c.will, generated: c.generated, secure: c.secure,
		keepAlive: c.keepAlive, sleep: c.sleep, base: base, proved: proved,
		method: id.Method, username: id.Username,
	}
	if !p.port.secure() && p.port != nowhere {
		s.addr, s.node, s.listener = p.addr, p.node, p.port.listener
	}
	c.link.Keep(keptState, s.encode())
}

// whereFrom is the path of the client, where its MsgIds begin, and whether it has
// shown that it is there.
func (o *outbox) whereFrom() (p path, base uint16, proved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noted = o.proved
	return o.path, o.base, o.proved
}

// setBase has the MsgIds go on where those of the session began. Nothing has been
// sent yet.
func (o *outbox) setBase(base uint16) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.base = base
}

// restore goes on with the clients that were connected when the process before this
// one ended, in whatever way. They do not notice.
func (g *Gateway) restore() error {
	prefix := g.sessionID("")
	for _, id := range g.broker.Interrupted(prefix) {
		if err := g.restoreClient(id); err != nil {
			g.log.Warn("a client is not restored", "client", gateway.PlainID(id), "err", err)
		}
	}
	return nil
}

func (g *Gateway) restoreClient(id string) error {
	c := &client{g: g, id: id}
	c.out.init(path{port: nowhere}, 0)
	identity := func(owner string) auth.Identity {
		return auth.Identity{Name: owner, ClientID: c.plainID()}
	}
	link, resumed, err := g.broker.Restore(g.ctx, id, identity, broker.SessionOptions{
		Window: c.window(), ReceiveMaximum: openMessages, Unpaced: true, Keeps: true,
	}, c)
	if errors.Is(err, broker.ErrNoSession) {
		return nil // it has been taken
	}
	if err != nil {
		return err
	}
	data, known := resumed.Kept[keptState]
	if !known { // of another protocol that has the same client identifiers
		link.Detach(broker.Farewell{Abnormal: true})
		return nil
	}
	s, err := decodeStored(data)
	if err != nil {
		link.Detach(broker.Farewell{Abnormal: true})
		return err
	}
	who := link.Identity()
	who.Method, who.Username = s.method, s.username
	_ = link.SetIdentity(who) // of the same owner
	c.standing = standing{
		state: active, clean: s.clean, will: s.will, generated: s.generated, secure: s.secure,
		keepAlive: s.keepAlive, sleep: s.sleep, heard: g.since(g.now()), link: link,
		testament: decodeTestament(resumed.Kept[keptWill]), receipts: decodeReceipts(resumed.Kept[keptReceipts], g.since(g.now())),
	}
	if s.asleep {
		c.state = asleep
	}
	c.out.loadTopics(g, resumed.Kept, true)
	c.out.setBase(s.base)
	g.clients.name(id, c)
	if s.addr.IsValid() {
		p := path{port: g.portNamed(s.listener), addr: s.addr, node: s.node}
		c.out.move(p)
		if s.proved {
			c.out.validated()
		}
		c.out.count(c, mqttsn.Connect{ClientID: c.plainID()}.Size()) // which it has sent once
		if old := g.clients.put(p, c); old != nil {
			old.loseAddress(p)
		}
	}
	g.counts.restored.Add(1)
	w := g.newWork()
	link.Start()
	if c.state == active && s.addr.IsValid() {
		c.resume(w)
	}
	c.arm(w.now)
	return nil
}
