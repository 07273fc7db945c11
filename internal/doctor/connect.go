package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

func checkConnect5(ctx context.Context, x *exam) Result   { return x.connect(ctx, mqtt.V5) }
func checkConnect311(ctx context.Context, x *exam) Result { return x.connect(ctx, mqtt.V311) }
func checkConnect31(ctx context.Context, x *exam) Result  { return x.connect(ctx, mqtt.V31) }

func connectName(v mqtt.Version) string {
	return map[mqtt.Version]string{mqtt.V5: "connect5", mqtt.V311: "connect311", mqtt.V31: "connect31"}[v]
}

// askedExpiry is the session expiry interval that CONNECT asks for, to see what
// the server makes of it; the session ends with DISCONNECT.
const askedExpiry = 3600

// connect tries one version. What is accepted first is what the other checks use.
func (x *exam) connect(ctx context.Context, v mqtt.Version) Result {
	switch {
	case x.Version != 0 && x.Version != v:
		return skipped("-V asks for %s", x.Version)
	case x.unanswered != "":
		return skipped("because of %s", x.unanswered)
	case x.refusal != "" && !x.unknown: // another version has the same name and password
		return skipped("because of %s", x.refusal)
	}
	began := time.Now()
	m, err := x.join(ctx, v, func(o *client.Options) {
		if v == mqtt.V5 {
			asked, is := x.Properties.Uint32(mqtt.PropSessionExpiryInterval)
			if !is {
				asked = askedExpiry
			}
			o.Properties = o.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, asked)
		}
	})
	took := time.Since(began)
	if err != nil {
		return x.notConnected(ctx, v, err)
	}
	ended := mqtt.Properties(nil)
	if v == mqtt.V5 {
		ended = ended.AppendUint32(mqtt.PropSessionExpiryInterval, 0)
	}
	leaving, cancel := context.WithTimeout(ctx, leaveTime)
	_ = m.Disconnect(leaving, mqtt.NormalDisconnection, ended)
	<-m.Done()
	cancel()
	if x.version == 0 {
		x.version, x.connack = v, m.ack
	}
	who := "without a user name"
	if x.Username != nil {
		who = fmt.Sprintf("as %q", *x.Username)
	}
	if x.Dial.TLS != nil && (len(x.Dial.TLS.Certificates) > 0 || x.Dial.TLS.CertFile != "") {
		who += " with a client certificate"
	}
	r := fine("accepted %s, in %.1f ms", who, ms(took))
	if x.Password != nil && x.exposed() {
		r = warn("accepted %s, in %.1f ms; the password went over the network in the clear", who, ms(took)).hint("mqtts:// and wss:// encrypt it")
	}
	return r.with("version", v.String()).with("connect_ms", ms(took))
}

// exposed tells whether others on the way can read what is sent.
func (x *exam) exposed() bool {
	if x.Target.Scheme.TLS || x.Target.Scheme.Network == "unix" {
		return false
	}
	a, err := netip.ParseAddr(x.Target.Host)
	return x.Target.Host != "localhost" && (err != nil || !a.IsLoopback())
}

// notConnected says why a version was not accepted. That one of several is
// unknown to a server is no failure.
func (x *exam) notConnected(ctx context.Context, v mqtt.Version, err error) Result {
	name := connectName(v)
	r := x.blame(ctx, err)
	last := x.Version != 0 || v == mqtt.V31
	refused := (*client.ConnectError)(nil)
	switch {
	case errors.As(err, &refused):
		if unknown := unknownVersion(refused); x.refusal == "" || x.unknown && !unknown {
			x.refusal, x.unknown = name, unknown
		}
		if unknownVersion(refused) && (!last || x.version != 0) {
			r.Verdict, r.Hint = Warning, ""
			r.Summary = "the server does not speak MQTT " + v.String()
			if v == mqtt.V31 {
				r.Verdict = OK // nobody misses it
			}
		}
	case !x.Target.Scheme.TLS && x.version == 0 && x.speaksTLS(ctx, err):
		x.unanswered = name
		at := x.Target
		at.Scheme.Name += "s"
		r = failed(TLS, "the server speaks TLS on this port").hint("iotctl doctor %s", at)
	case errors.Is(err, client.ErrTimeout):
		x.unanswered = name
		r = failed(Timeout, "the server accepts the connection, but does not answer CONNECT").
			hint("is this the right port, and does MQTT %s TLS belong there?", map[bool]string{true: "with", false: "without"}[x.Target.Scheme.TLS])
	case errors.As(err, new(*transport.Error)), errors.As(err, new(*mqtt.Malformed)):
		x.unanswered = name
		if r.Cause == Protocol {
			r.Cause = Network
		}
		if what := x.speaks(ctx); what != "" && what != "MQTT" {
			r.Summary = "the server speaks " + what + " on this port"
			if what == "HTTP" {
				r.Hint = "if it is a WebSocket port, use ws://"
			}
		}
		if r.Hint == "" {
			r.Hint = "is this the right port? Something else than MQTT answers there"
		}
	case errors.Is(err, client.ErrClosedBeforeConnack):
		if x.refusal == "" { // as servers do that do not know the version
			x.refusal, x.unknown = name, true
		}
		r = failed(Network, "the server closes the connection instead of answering CONNECT").
			hint("is this MQTT's port? Rules for addresses, a full server or a bad login can be the reason, too: its log tells")
		if x.version != 0 {
			r.Verdict, r.Cause = Warning, ""
		}
	}
	return r
}

// speaksTLS tells whether a server that did not answer CONNECT shakes hands.
func (x *exam) speaksTLS(ctx context.Context, err error) bool {
	if errors.As(err, new(*client.ConnectError)) || x.Target.Scheme.Network == "unix" {
		return false
	}
	seen := x.look(ctx, tls.VersionTLS12)
	return len(seen.state.PeerCertificates) > 0
}

// speaks is what a server seems to speak that is no broker, by the first bytes
// it answers to a CONNECT with nobody's name in it.
func (x *exam) speaks(ctx context.Context) string {
	if x.Target.Scheme.TLS || x.Target.Scheme.WebSocket {
		return ""
	}
	c, err := transport.DialEndpoint(ctx, x.bare(), x.dialTimeout())
	if err != nil {
		return ""
	}
	defer c.Close()
	hello, err := mqtt.Connect{Version: mqtt.V311, CleanStart: true}.Append(nil, mqtt.V311)
	if err != nil {
		return ""
	}
	_ = c.SetDeadline(time.Now().Add(min(x.ConnectTimeout, time.Second)))
	_, _ = c.Write(hello)
	b := make([]byte, 64)
	n, _ := io.ReadAtLeast(c, b, 8)
	return transport.Sniff(b[:n])
}

func unknownVersion(e *client.ConnectError) bool {
	return e.Code == mqtt.UnsupportedProtocolVersion || e.Code == mqtt.V3UnacceptableProtocolVersion
}

// refused puts CONNACK into words.
func (x *exam) refused(e *client.ConnectError) Result {
	code := e.Code
	if same, ok := mqtt.ReasonOf(code); ok && !code.IsError() {
		code = same
	}
	r := failed(Refused, "%s", strings.TrimPrefix(e.Error(), "connection refused by the server: "))
	switch {
	case (code == mqtt.NotAuthorized || code == mqtt.BadUserNameOrPassword) && x.Username == nil:
		r.Hint = "the server may want a user name and a password: -u NAME --ask-password"
	case code == mqtt.NotAuthorized, code == mqtt.BadUserNameOrPassword:
		r.Hint = "wrong name or password, or not allowed in: -u NAME --ask-password; the server's log tells"
	case code == mqtt.ClientIdentifierNotValid:
		r.Hint = "the server may want a certain client identifier: -i ID"
	case code == mqtt.UnsupportedProtocolVersion:
		r.Hint = "try another version: -V 311 or -V 5"
	case code == mqtt.ServerBusy, code == mqtt.ServerUnavailable, code == mqtt.QuotaExceeded, code == mqtt.ConnectionRateExceeded:
		r.Hint = "the server is full or busy: try again later"
	case code == mqtt.UseAnotherServer, code == mqtt.ServerMoved:
		if where, ok := e.Properties.String(mqtt.PropServerReference); ok {
			r.Hint = "it says where: " + tame(where)
		}
	}
	return r.with("reason_code", int(e.Code))
}

// limit is one line of what CONNACK states.
type limit struct {
	name, word string
	id         mqtt.PropertyID
	def        uint32 // what a server means that does not state it
	flag       bool
	// bad reports a value that will bother clients.
	bad func(uint32) bool
}

func limits() []limit {
	off := func(v uint32) bool { return v == 0 }
	return []limit{
		{name: "receive_maximum", word: "receive maximum", id: mqtt.PropReceiveMaximum, def: 65535},
		{name: "maximum_qos", word: "maximum QoS", id: mqtt.PropMaximumQoS, def: 2, bad: func(v uint32) bool { return v < 2 }},
		{name: "retain_available", word: "retained messages", id: mqtt.PropRetainAvailable, def: 1, flag: true, bad: off},
		{name: "maximum_packet_bytes", word: "maximum packet size", id: mqtt.PropMaximumPacketSize, def: mostPacket},
		{name: "topic_alias_maximum", word: "topic alias maximum", id: mqtt.PropTopicAliasMaximum},
		{name: "wildcards_available", word: "wildcards", id: mqtt.PropWildcardSubscriptionAvailable, def: 1, flag: true, bad: off},
		{name: "subscription_ids_available", word: "subscription identifiers", id: mqtt.PropSubscriptionIDAvailable, def: 1, flag: true, bad: off},
		{name: "shared_available", word: "shared subscriptions", id: mqtt.PropSharedSubscriptionAvailable, def: 1, flag: true, bad: off},
		{name: "server_keep_alive_s", word: "server keep alive", id: mqtt.PropServerKeepAlive, def: math.MaxUint32},
		{name: "session_expiry_s", word: "session expiry", id: mqtt.PropSessionExpiryInterval, def: askedExpiry},
	}
}

func checkLimits(_ context.Context, x *exam) Result {
	if x.version != mqtt.V5 {
		return skipped("servers of MQTT %s state no limits", x.version)
	}
	r := fine("")
	var said, missing []string
	for _, l := range limits() {
		v, stated := number(x.connack.Properties, l.id)
		if !stated {
			v = l.def
		}
		if l.bad != nil && l.bad(v) {
			missing = append(missing, l.complaint(v))
		}
		switch {
		case l.flag:
			r = r.with(l.name, v != 0)
		case !stated && l.def == math.MaxUint32:
			r = r.with(l.name, nil)
		default:
			r = r.with(l.name, int(v))
		}
		if text := l.text(v, stated); text != "" {
			said = append(said, text)
		}
	}
	if asked, _ := x.Properties.Uint32(mqtt.PropSessionExpiryInterval); asked == 0 {
		if got, ok := x.connack.Properties.Uint32(mqtt.PropSessionExpiryInterval); ok && got < askedExpiry {
			missing = append(missing, fmt.Sprintf("sessions are kept for at most %d s", got))
		}
	}
	assigned, _ := x.connack.Properties.String(mqtt.PropAssignedClientIdentifier)
	r = r.with("assigned_id", tame(assigned))
	r.Summary = strings.Join(said, ", ")
	if len(missing) > 0 {
		r.Verdict = Warning
		r.Summary, r.Details = strings.Join(missing, "; "), append(r.Details, r.Summary)
	}
	return r
}

func number(p mqtt.Properties, id mqtt.PropertyID) (uint32, bool) {
	for q := range p.All() {
		if q.ID == id {
			return q.Num, true
		}
	}
	return 0, false
}

func (l *limit) complaint(v uint32) string {
	if l.flag {
		return "no " + l.word
	}
	return fmt.Sprintf("%s %d", l.word, v)
}

func (l *limit) text(v uint32, stated bool) string {
	switch {
	case l.flag && v != 0, !stated && (l.id == mqtt.PropServerKeepAlive || l.id == mqtt.PropSessionExpiryInterval):
		return ""
	case l.flag:
		return l.complaint(v)
	case l.id == mqtt.PropMaximumPacketSize && !stated:
		return l.word + " not stated"
	}
	return fmt.Sprintf("%s %d", l.word, v)
}
