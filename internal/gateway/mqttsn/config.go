package mqttsn

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator. Names are those of the configuration file in snake case, or as
// they are tagged.
type Config struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded

	// GatewayID tells gateways of one network apart. 0: 1.
	GatewayID uint8
	// AdvertiseDuration is the time between two ADVERTISEs in the multicast groups, in
	// whole seconds. 0: 15 min; below 0: there are none.
	AdvertiseDuration time.Duration
	Multicast         Multicast
	// Forwarders are the addresses and networks from which clients of others may be
	// passed on: any, off, or a list. nil: any.
	Forwarders []string
	// MaxDatagram is the longest datagram that a client is sent, in bytes, without
	// the head of a forwarder. What does not fit is dropped. 0: 1200.
	MaxDatagram int
	// MaxClients bounds the clients that are connected or asleep. 0: 1,000,000.
	MaxClients int
	// MaxHalfOpen bounds those that are connecting: their authentication, or their
	// will, is still to come. 0: 10,000.
	MaxHalfOpen int
	// ConnectRate bounds the CONNECTs per second, of everybody. 0: 50,000.
	ConnectRate int
	// UnknownReplyRate bounds the answers per second to one address that has not
	// connected; a network of such (/24 or /56) has ten times, and everybody together a
	// thousand times as much. 0: 10.
	UnknownReplyRate int
	// AmplificationLimit times what has come from an address is how many bytes are
	// sent there before it has shown that it receives them. 0: 3.
	AmplificationLimit float64

	// ClientinfoOverride is who clients are for the authenticator, since CONNECT
	// says nothing but a client identifier. Those that have proved who they are by DTLS
	// are that.
	ClientinfoOverride Override
	// AuthExtension is for clients that say who they are with AUTH.
	AuthExtension AuthExtension
	QoSMinusOne   QoSMinusOne `yaml:"qos_minus_one"`
	// EnableQoS3 is QoSMinusOne.Enabled by the name that EMQX gives it.
	EnableQoS3 bool `yaml:"enable_qos3"`
	// SubsResume is Topics.RegisterOnResume by the name that EMQX gives it.
	SubsResume bool
	// Predefined is Topics.Predefined by the name that EMQX gives it. Both count.
	Predefined []Predefined

	Sessions Sessions
	Timers   Timers
	Sleep    Sleep
	Topics   Topics
	Compat   Compat
}

// Multicast is how clients find the gateway without knowing its address.
type Multicast struct {
	Groups     []string // 225.1.1.1:1883; nil: none
	Interfaces []string // by name; nil: all that can
	// TTL is how many hops away clients may be. 0: 1.
	TTL int
	// Standby has the gateway be silent in the groups while it hears another one there.
	Standby bool
}

// groups are the addresses of the groups.
func (m Multicast) groups() ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for i, s := range m.Groups {
		a, err := netip.ParseAddrPort(s)
		if err != nil || !a.Addr().IsMulticast() || a.Port() == 0 {
			return nil, fmt.Errorf("multicast.groups[%d]: %q is no group with a port, as 225.1.1.1:1883 is", i, s)
		}
		all = append(all, a)
	}
	return all, nil
}

// Override is what stands for what CONNECT has no room for. ${clientid} in it is
// the client identifier.
type Override struct {
	Username string // "": none
	Password string
}

// QoSMinusOne is about those that publish without a connection.
type QoSMinusOne struct {
	Enabled bool
	// Named takes topics by name, too, which is no part of the specification.
	Named bool
	// ClientID is who they are, for authenticator and authorizer. "": qos-minus-one.
	ClientID string
}

// Sessions is about what is kept of clients.
type Sessions struct {
	// Expiry is how long a session outlives its connection, unless the client has
	// asked for a clean one. 0: 24 h.
	Expiry time.Duration
	// MaxIdle is how long a client may be silent that has no keep alive. 0: 24 h.
	MaxIdle time.Duration
	// RefuseKeepAlive0 refuses such clients.
	RefuseKeepAlive0 bool `yaml:"refuse_keepalive_0"`
	// Rebind says who may go on from another address with a PINGREQ: never, same-ip
	// (another port), sleep-only (those that are asleep), or always. "": sleep-only.
	// Without DTLS, whoever knows the client identifier can do that.
	Rebind string
	// Takeover says what a CONNECT does whose client is active at another address:
	// allow, or reject-while-active. "": allow.
	Takeover string
	// AsleepConnect says what a CONNECT means that asks for a clean session, of a
	// client that is asleep: resume goes on, since many repeat the flags of their
	// first; strict begins anew. "": resume.
	AsleepConnect string
	// MaxClientID is the longest client identifier, in bytes. 0: 256.
	MaxClientID int
	// ClientIDs says what a client may call itself that has proved who it is, by its
	// certificate, its key, or a password: free, identity (the same), or prefix (what
	// begins with it). With the last two nobody else comes in. "": free.
	ClientIDs string `yaml:"client_ids"`
	// EmptyClientID says what becomes of a CONNECT without one that asks for a clean
	// session: generate, or refuse. "": generate.
	EmptyClientID string
	// ShareClientRegistry gives these clients and those of MQTT one space of client
	// identifiers: each takes over from the other.
	ShareClientRegistry bool
}

// Values of the settings that are words.
const (
	rebindNever  = "never"
	rebindSameIP = "same-ip"
	rebindSleep  = "sleep-only"
	rebindAlways = "always"

	takeoverAllow  = "allow"
	takeoverReject = "reject-while-active"

	asleepResume = "resume"
	asleepStrict = "strict"

	clientIDsFree     = "free"
	clientIDsIdentity = "identity"
	clientIDsPrefix   = "prefix"

	emptyGenerate = "generate"
	emptyRefuse   = "refuse"

	dropOldest = "oldest"
	dropNewest = "newest"

	codesStandard = "standard"
	codesEMQX     = "emqx"
)

// Timers is about what is sent again.
type Timers struct {
	Retry   time.Duration // 0: 10 s
	Retries int           // after the first attempt; 0: 4
	Backoff float64       // factor from one attempt to the next; 0: 1
	// WillHandshake is how long a client may take from CONNECT to the end of its
	// will, and its authenticator to answer. 0: 30 s.
	WillHandshake time.Duration
}

// Sleep is about clients that are asleep.
type Sleep struct {
	// MaxMessages and MaxBytes bound the messages at QoS 0 that wait for one client;
	// those at QoS 1 and 2 are the broker's, and bounded there. 0: 1000, 256 KiB.
	MaxMessages int
	MaxBytes    int
	// MaxTotalBytes bounds what waits at QoS 0 for all clients together. 0: 256 MiB.
	MaxTotalBytes int
	QoS0          *bool  `yaml:"qos0"` // whether they wait at all; nil: they do
	Drop          string // which goes when there are too many: oldest, or newest. "": oldest
	// AnyPing wakes a client by a PINGREQ that does not say who it is, too; nil: it does.
	AnyPing *bool
	// MaxPerWake and WakeCap bound what one PINGREQ brings; the rest waits for the next.
	// 0: 100 messages, 30 s.
	MaxPerWake int
	WakeCap    time.Duration
}

// Topics is about topic identifiers.
type Topics struct {
	MaxPerClient int // 0: 1000
	Predefined   []Predefined
	// PredefinedFile has more of them.
	PredefinedFile PredefinedFile
	// AlwaysRegister tells a client of the identifier of a topic even if it knows it
	// from SUBACK.
	AlwaysRegister bool
	// RegisterOnResume registers the topics of a session again when its client comes back.
	RegisterOnResume bool
	// RandomIDs has identifiers begin somewhere, so that nobody who does not receive
	// them can tell them; nil: they do.
	RandomIDs *bool `yaml:"random_ids"`
}

// Predefined is a topic that both sides know by an identifier.
type Predefined struct {
	ID     uint16
	Topic  string
	Client string // who knows it; "" or *: everybody
	line   int    // of a file
}

// Compat is for clients of other gateways.
type Compat struct {
	// ReturnCodes is standard, or emqx, which has more than the specification.
	// "": standard.
	ReturnCodes string
	// Profile has other settings be as clients of another gateway know it, where they
	// are not set: emqx, paho or rsmb; or strict, by the letter of the specification.
	// "": none.
	Profile string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.profile()
	gateway.Default(&c.GatewayID, 1)
	gateway.Default(&c.AdvertiseDuration, 15*time.Minute)
	gateway.Default(&c.Multicast.TTL, 1)
	if c.Forwarders == nil {
		c.Forwarders = []string{forwardersAny}
	}
	gateway.Default(&c.MaxDatagram, 1200)
	gateway.Default(&c.MaxClients, 1_000_000)
	gateway.Default(&c.MaxHalfOpen, 10_000)
	gateway.Default(&c.ConnectRate, 50_000)
	gateway.Default(&c.UnknownReplyRate, 10)
	gateway.Default(&c.AmplificationLimit, 3)
	c.QoSMinusOne.Enabled = c.QoSMinusOne.Enabled || c.EnableQoS3
	gateway.Default(&c.QoSMinusOne.ClientID, "qos-minus-one")

	s := &c.Sessions
	gateway.Default(&s.Expiry, 24*time.Hour)
	gateway.Default(&s.MaxIdle, 24*time.Hour)
	gateway.Default(&s.Rebind, rebindSleep)
	gateway.Default(&s.Takeover, takeoverAllow)
	gateway.Default(&s.AsleepConnect, asleepResume)
	gateway.Default(&s.MaxClientID, 256)
	gateway.Default(&s.ClientIDs, clientIDsFree)
	gateway.Default(&s.EmptyClientID, emptyGenerate)

	gateway.Default(&c.Timers.Retry, 10*time.Second)
	gateway.Default(&c.Timers.Retries, 4)
	gateway.Default(&c.Timers.Backoff, 1)
	gateway.Default(&c.Timers.WillHandshake, 30*time.Second)

	yes := true
	gateway.Default(&c.Sleep.MaxMessages, 1000)
	gateway.Default(&c.Sleep.MaxBytes, 256<<10)
	gateway.Default(&c.Sleep.MaxTotalBytes, 256<<20)
	gateway.Default(&c.Sleep.QoS0, &yes)
	gateway.Default(&c.Sleep.Drop, dropOldest)
	gateway.Default(&c.Sleep.AnyPing, &yes)
	gateway.Default(&c.Sleep.MaxPerWake, 100)
	gateway.Default(&c.Sleep.WakeCap, 30*time.Second)

	gateway.Default(&c.Topics.MaxPerClient, 1000)
	gateway.Default(&c.Topics.RandomIDs, &yes)
	c.Topics.RegisterOnResume = c.Topics.RegisterOnResume || c.SubsResume
	c.Topics.Predefined, c.Predefined = slices.Concat(c.Topics.Predefined, c.Predefined), nil
	gateway.Default(&c.Compat.ReturnCodes, codesStandard)
	return c
}

// Bounds of settings.
const (
	minDatagram = 32 // a PUBLISH with some payload; the rest is the operator's to judge
	maxDatagram = 65507
)

// CheckListener says what is wrong with the URL of a listener.
func (Config) CheckListener(e transport.Endpoint) error {
	if e.Path != "" && e.Path != "/" || e.RawQuery != "" {
		return fmt.Errorf("the URL ends behind the port: there is no meaning to %q", e.Path)
	}
	return nil
}

// HasPasswords reports whether clients of a listener have a name and a password: all
// of them the same, or each its own by an extension.
func (c Config) HasPasswords(e transport.Endpoint) bool {
	return c.ClientinfoOverride != (Override{}) || c.AuthExtension.Enabled && (c.AuthExtension.Insecure || e.Scheme.TLS)
}

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	c = c.withDefaults()
	for _, n := range []struct {
		name           string
		v, least, most int
	}{
		{"multicast.ttl", c.Multicast.TTL, 1, 255},
		{"max_datagram", c.MaxDatagram, minDatagram, maxDatagram},
		{"max_clients", c.MaxClients, 1, math.MaxInt32},
		{"max_half_open", c.MaxHalfOpen, 1, math.MaxInt32},
		{"connect_rate", c.ConnectRate, 1, math.MaxInt32},
		{"unknown_reply_rate", c.UnknownReplyRate, 1, 1_000_000},
		{"sessions.max_client_id", c.Sessions.MaxClientID, 1, mqttsn.MaxMessage},
		{"timers.retries", c.Timers.Retries, 1, 100},
		{"sleep.max_messages", c.Sleep.MaxMessages, 1, math.MaxInt32},
		{"sleep.max_bytes", c.Sleep.MaxBytes, 1, math.MaxInt32},
		{"sleep.max_total_bytes", c.Sleep.MaxTotalBytes, 1, math.MaxInt},
		{"sleep.max_per_wake", c.Sleep.MaxPerWake, 1, math.MaxInt32},
		{"topics.max_per_client", c.Topics.MaxPerClient, 1, 65534},
	} {
		if n.v < n.least || n.v > n.most {
			bad("%s: %d is not between %d and %d", n.name, n.v, n.least, n.most)
		}
	}
	for _, d := range []struct {
		name  string
		v     time.Duration
		least time.Duration
	}{
		{"sessions.expiry", c.Sessions.Expiry, time.Second},
		{"sessions.max_idle", c.Sessions.MaxIdle, time.Second},
		{"timers.retry", c.Timers.Retry, tick},
		{"timers.will_handshake", c.Timers.WillHandshake, tick},
		{"sleep.wake_cap", c.Sleep.WakeCap, tick},
	} {
		if d.v < d.least {
			bad("%s: %v is less than %v", d.name, d.v, d.least)
		}
	}
	for _, f := range []struct {
		name        string
		v           float64
		least, most float64
	}{
		{"amplification_limit", c.AmplificationLimit, 1, 1000},
		{"timers.backoff", c.Timers.Backoff, 1, 10},
	} {
		if !(f.v >= f.least && f.v <= f.most) { // nor NaN
			bad("%s: %v is not between %v and %v", f.name, f.v, f.least, f.most)
		}
	}
	for _, w := range []struct {
		name, v string
		words   []string
	}{
		{"sessions.rebind", c.Sessions.Rebind, []string{rebindNever, rebindSameIP, rebindSleep, rebindAlways}},
		{"sessions.takeover", c.Sessions.Takeover, []string{takeoverAllow, takeoverReject}},
		{"sessions.asleep_connect", c.Sessions.AsleepConnect, []string{asleepResume, asleepStrict}},
		{"sessions.client_ids", c.Sessions.ClientIDs, []string{clientIDsFree, clientIDsIdentity, clientIDsPrefix}},
		{"sessions.empty_client_id", c.Sessions.EmptyClientID, []string{emptyGenerate, emptyRefuse}},
		{"sleep.drop", c.Sleep.Drop, []string{dropOldest, dropNewest}},
		{"compat.return_codes", c.Compat.ReturnCodes, []string{codesStandard, codesEMQX}},
	} {
		if err := oneOf(w.v, w.words); err != nil {
			bad("%s: %w", w.name, err)
		}
	}
	if p := c.Compat.Profile; p != "" {
		if err := oneOf(p, []string{profileStrict, profileEMQX, profilePaho, profileRSMB}); err != nil {
			bad("compat.profile: %w", err)
		}
	}
	if c.AuthExtension.Insecure && !c.AuthExtension.Enabled {
		bad("auth_extension.insecure: it means nothing without auth_extension.enabled")
	}
	if d := c.AdvertiseDuration; d > 0 && (d < time.Second || d > math.MaxUint16*time.Second || d%time.Second != 0) {
		bad("advertise_duration: %v is not a number of whole seconds up to %d", d, math.MaxUint16)
	}
	_, predefined := newPredefinedTopics(&c.Topics)
	_, passing := newForwarders(c.Forwarders)
	_, groups := c.Multicast.groups()
	errs = append(errs, predefined, passing, groups)
	return errors.Join(errs...)
}
