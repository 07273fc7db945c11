package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// exam is the state of one Run.
type exam struct {
	Config
	token  string // random, in every identifier and topic
	prefix string

	verdicts map[string]Verdict
	because  map[string]string // check → the failed one that it was skipped for

	version    mqtt.Version // the newest that was accepted; 0: none yet
	connack    client.Connack
	tried      bool   // CONNECT in every version
	unanswered string // the check whose CONNECT nobody answered
	refusal    string // the check in which CONNECT was refused
	unknown    bool   // and that was for its version
	names      int    // of client identifiers

	retained []string          // topics to be cleared
	sessions map[string]string // client identifiers to be forgotten
	dirty    bool              // something was to be removed
}

func newExam(c Config) *exam {
	run := fmt.Sprintf("%08x", rand.Uint32())
	return &exam{
		Config: c, token: run, prefix: c.Prefix + "/" + run,
		verdicts: map[string]Verdict{}, because: map[string]string{}, sessions: map[string]string{},
	}
}

// topic is one of this run's own.
func (x *exam) topic(name string) string { return x.prefix + "/" + name }

// nextID is a client identifier that nobody else has: the user's for the first
// connection at a time, where he has given one.
func (x *exam) nextID() string {
	x.names++
	return fmt.Sprintf("iotctl-%s-%d", x.token, x.names)
}

// member is a connection of the doctor's and what arrives on it.
type member struct {
	client.API
	ack client.Connack
	got chan client.Message
}

// mostWaiting bounds the messages that a member keeps; further ones are lost.
const mostWaiting = 4096

// options are those of a client in version v.
func (x *exam) options(v mqtt.Version) client.Options {
	id := x.ClientID
	if id == "" {
		id = x.nextID()
	}
	o := client.Options{
		Version: v, ClientID: id, CleanStart: true, KeepAlive: x.KeepAlive,
		Username: x.Username, Password: x.Password,
		ConnectTimeout: x.ConnectTimeout, AliasTopics: true,
	}
	if v == mqtt.V5 {
		// Sessions end with their connections, whatever the user has asked for.
		o.Properties = x.Properties.Without(mqtt.PropSessionExpiryInterval)
	}
	return o
}

// join connects; edit, unless nil, changes the options first. The caller leaves.
func (x *exam) join(ctx context.Context, v mqtt.Version, edit func(*client.Options)) (*member, error) {
	m := &member{got: make(chan client.Message, mostWaiting)}
	o := x.options(v)
	if edit != nil {
		edit(&o)
	}
	o.Dial = func(ctx context.Context) (net.Conn, error) { return transport.DialEndpoint(ctx, x.Target, x.Dial) }
	o.OnMessage = func(in client.Message) {
		in.Payload = append([]byte(nil), in.Payload...)
		in.Properties = append(mqtt.Properties(nil), in.Properties...)
		select {
		case m.got <- in:
		default:
		}
	}
	if x.OnPacket != nil {
		o.OnPacket = x.OnPacket(v)
	}
	var err error
	if m.API, err = client.New(o); err != nil {
		return nil, err
	}
	if m.ack, err = m.Connect(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// another is a second client beside one with the user's identifier.
func (x *exam) another(o *client.Options) {
	if x.ClientID != "" {
		x.names++
		o.ClientID = fmt.Sprintf("%s-%d", x.ClientID, x.names)
	}
}

// leaveTime is how long a server may take to close after DISCONNECT.
const leaveTime = 500 * time.Millisecond

// leave disconnects in a short time, whatever has become of ctx.
func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	_ = m.Disconnect(ctx, mqtt.NormalDisconnection, nil)
	<-m.Done()
}

// subscribe asks for one filter.
func (m *member) subscribe(ctx context.Context, v mqtt.Version, filter string, qos uint8) error {
	codes, err := m.Subscribe(ctx, []client.Subscription{{Filter: filter, QoS: qos}}, nil)
	if err != nil {
		return m.because(err)
	}
	if codes[0].IsError() {
		return &refusedError{Subscribe, fmt.Sprintf("subscribe to %s: refused: %s (0x%02x)", filter, codes[0].Name(mqtt.TypeSuback, v), uint8(codes[0]))}
	}
	return nil
}

// send publishes and waits for what becomes of it.
func (m *member) send(ctx context.Context, msg client.Message) error {
	out, err := m.PublishWait(ctx, msg)
	switch {
	case err != nil:
		return m.because(err)
	case out.Kind == client.Refused && out.Err != nil:
		return out.Err
	case out.Kind == client.Refused:
		return &refusedError{Publish, fmt.Sprintf("publish to %s: refused: %s (0x%02x)", msg.Topic, out.Code, uint8(out.Code))}
	case out.Kind == client.Lost:
		return m.because(client.ErrConnectionLost)
	}
	return nil
}

// because is why the client has ended, if it has, and otherwise err.
func (m *member) because(err error) error {
	select {
	case <-m.Done():
		if why := m.Err(); why != nil {
			return why
		}
	default:
	}
	return err
}

// any waits for a message.
func (m *member) any(ctx context.Context) (client.Message, error) {
	select {
	case in := <-m.got:
		return in, nil
	case <-m.Done():
		return client.Message{}, m.because(client.ErrConnectionLost)
	case <-ctx.Done():
		return client.Message{}, ctx.Err()
	}
}

// next waits for a message of topic; others are dropped.
func (m *member) next(ctx context.Context, topic string) (client.Message, error) {
	for {
		in, err := m.any(ctx)
		if err != nil || in.Topic == topic {
			return in, err
		}
	}
}

// refusedError is a request that the server has answered with an error code.
type refusedError struct {
	cause Cause
	text  string
}

func (e *refusedError) Error() string { return e.text }

// settle finds the version to examine with, unless that is known; the result is
// one for a check that cannot be done then.
func (x *exam) settle(ctx context.Context) Result {
	if !x.tried {
		for _, v := range x.candidates() {
			if x.verdicts[connectName(v)] == "" && x.unanswered == "" {
				x.connect(ctx, v)
			}
			if x.version != 0 {
				break
			}
		}
		x.tried = ctx.Err() == nil
	}
	switch {
	case x.version != 0:
		return Result{}
	case x.unanswered != "":
		return skipped("because of %s", x.unanswered)
	case x.refusal != "":
		return skipped("because of %s", x.refusal)
	}
	return skipped("no version of MQTT was accepted")
}

// candidates are the versions to try, the newest first.
func (x *exam) candidates() []mqtt.Version {
	if x.Version != 0 {
		return []mqtt.Version{x.Version}
	}
	return []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31}
}

// qos is the highest that the server allows, up to want.
func (x *exam) qos(want uint8) uint8 {
	if most, ok := x.connack.Properties.Byte(mqtt.PropMaximumQoS); ok {
		return min(most, want)
	}
	return want
}

// available reads a property of CONNACK that is 1 unless the server says otherwise.
func (x *exam) available(id mqtt.PropertyID) bool {
	v, ok := x.connack.Properties.Byte(id)
	return !ok || v != 0
}

// blame turns an error into a result.
func (x *exam) blame(ctx context.Context, err error) Result {
	var (
		network *transport.Error
		refused *client.ConnectError
		left    *client.DisconnectedError
		denied  *refusedError
		limit   *client.LimitError
		strange *mqtt.Malformed
	)
	switch {
	case errors.As(err, &denied):
		return failed(denied.cause, "%s", denied.text).hint("--prefix TOPIC names one that this user may use; the access rules of the server decide")
	case errors.As(err, &refused):
		return x.refused(refused)
	case errors.As(err, &left):
		return failed(Lost, "%s", left)
	case errors.As(err, &limit):
		return failed(Publish, "%s", limit)
	case errors.As(err, &strange):
		return failed(Protocol, "what the server sends is not MQTT: %s", strange)
	case errors.As(err, &network):
		return blameNetwork(network)
	case errors.Is(err, client.ErrTimeout), errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return failed(Timeout, "nothing came in time")
	case errors.Is(err, context.Canceled):
		return failed(Stopped, "interrupted")
	case errors.Is(err, client.ErrConnectionLost), errors.Is(err, client.ErrClosed):
		return failed(Lost, "the server closed the connection").hint("it may forbid what was tried: its log tells")
	}
	return failed(Network, "%s", err)
}

func blameNetwork(e *transport.Error) Result {
	cause := map[string]Cause{"tls": TLS, transport.ClosedWebSocket: WebSocket}[e.Op]
	if cause == "" {
		cause = Network
	}
	return failed(cause, "%s", e.Problem).hint("%s", typed(e.Hint))
}

// cleanUp removes what the checks have left, even after ctx has ended. did is
// false when nothing was to be removed.
func (x *exam) cleanUp(ctx context.Context) (r Result, did bool) {
	if !x.dirty {
		return r, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	began := time.Now()
	var left []string
	for id := range x.sessions {
		if err := x.forgetSession(ctx, id); err != nil {
			left = append(left, "session "+id)
		}
	}
	if len(x.retained) > 0 {
		left = append(left, x.clearRetained(ctx)...)
	}
	r = fine("nothing is left behind")
	if len(left) > 0 {
		r = warn("left behind: %s", strings.Join(left, ", ")).hint("iotctl pub -t TOPIC -r -n clears a retained message")
	}
	r.Check, r.Took = "cleanup", time.Since(began)
	return r, true
}

// keeps notes a retained message that will have to go.
func (x *exam) keeps(topic string) { x.retained, x.dirty = append(x.retained, topic), true }

// clearRetained returns what it could not clear.
func (x *exam) clearRetained(ctx context.Context) []string {
	var left []string
	for _, topic := range x.retained {
		if x.clear(ctx, topic) == nil {
			continue
		}
		// A server that keeps none takes no empty one, either.
		if in, err := x.firstOf(ctx, topic); err != nil || in.Retain {
			left = append(left, topic)
		}
	}
	x.retained = left
	return left
}

func (x *exam) clear(ctx context.Context, topic string) error {
	m, err := x.join(ctx, x.version, nil)
	if err != nil {
		return err
	}
	defer m.leave()
	return m.send(ctx, client.Message{Topic: topic, Retain: true, QoS: x.qos(1)})
}

// forgetSession connects anew with a clean session that ends at once.
func (x *exam) forgetSession(ctx context.Context, id string) error {
	m, err := x.join(ctx, x.version, func(o *client.Options) {
		o.ClientID, o.CleanStart = id, true
		o.Properties = o.Properties.Without(mqtt.PropSessionExpiryInterval)
	})
	if err != nil {
		return err
	}
	delete(x.sessions, id)
	m.leave()
	return nil
}
