// Package doctor examines an MQTT server from a client's place: name, address,
// TLS, CONNECT, limits, and what becomes of messages. It says in words what is
// wrong and what to type.
//
// A check is a line of the table in checks.go: a name, the checks that have to
// be well before it, and a function of the exam. Run works through the table in
// order, one check at a time, each within Config.CheckTimeout.
//
// # What it leaves alone
//
// All messages go below one random topic, and client identifiers are random
// unless Config names one. Retained messages and sessions that a check leaves
// at the server are removed at the end, also when ctx has ended before. Nothing
// but handshakes passes over a TLS connection whose certificate is not verified,
// unless Config.Dial says so.
//
// # Limits
//
// One server and one user at a time; nothing is measured but times of single
// messages. What a server does under load is for bench.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Verdict is what a check has come to.
type Verdict string

// Good to bad, and Skipped, which says nothing about the server.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning" // it works, and somebody should look at it
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Cause is the kind of trouble behind a check that has failed.
type Cause string

const (
	Network   Cause = "network"   // name, address, proxy
	TLS       Cause = "tls"       // handshake or certificate
	WebSocket Cause = "websocket" // upgrade
	Protocol  Cause = "protocol"  // the server does not do what MQTT says
	Refused   Cause = "refused"   // CONNACK
	Publish   Cause = "publish"   // a message was refused
	Subscribe Cause = "subscribe" // a subscription was refused
	Lost      Cause = "lost"      // the connection broke
	Timeout   Cause = "timeout"   // nothing came in time
	Stopped   Cause = "stopped"   // ctx has ended
)

// Figure is something that a check has measured or read.
type Figure struct {
	Name  string // lower case, words joined by _; a unit at the end: _ms, _bytes
	Value any    // bool, string, int, float64 or []string
}

// Result is what one check says.
type Result struct {
	Check   string
	Verdict Verdict
	Summary string   // one sentence without full stop
	Details []string // more of them
	Hint    string   // what to do or to type; "" for nothing
	Cause   Cause    // of Failed
	Took    time.Duration
	Figures []Figure
}

// Report is what Run returns.
type Report struct {
	URL     string // without user information
	Prefix  string // of all topics
	Version mqtt.Version
	Started time.Time
	Took    time.Duration
	Results []Result
	// Stopped is why checks were left out: ctx's error, or nil.
	Stopped error
}

// Verdict is the worst of all results.
func (r *Report) Verdict() Verdict {
	worst := OK
	for _, x := range r.Results {
		switch {
		case x.Verdict == Failed:
			return Failed
		case x.Verdict == Warning:
			worst = Warning
		}
	}
	return worst
}

// FirstFailure is nil when nothing has failed.
func (r *Report) FirstFailure() *Result {
	at := slices.IndexFunc(r.Results, func(x Result) bool { return x.Verdict == Failed })
	if at < 0 {
		return nil
	}
	return &r.Results[at]
}

// Config says whom to examine, and how.
type Config struct {
	Target transport.Endpoint
	Dial   transport.DialConfig

	Version    mqtt.Version // 0: all three are tried, and the newest is used
	ClientID   string       // "": random ones
	Username   *string
	Password   []byte
	KeepAlive  uint16
	Properties mqtt.Properties // of CONNECT, 5.0

	// Prefix of topics; a random level follows. "": iotctl/doctor.
	Prefix string
	// Only and Skip choose checks by the beginning of their names. Only nil: all.
	Only, Skip []string

	CheckTimeout   time.Duration // of one check; 0: 10 s
	ConnectTimeout time.Duration // of one connection; 0: 5 s
	Timeout        time.Duration // of all together; 0: 2 min
	Tries          int           // messages per round trip; 0: 5
	MaxPacketBytes int           // the longest packet that is tried; 0: 1 MiB
	MaxIDBytes     int           // the longest client identifier; 0: 65535

	// Device is for a protocol that is not MQTT: its name, and how to log in.
	Device *Device

	// OnPacket, unless nil, makes for each connection what is told of its packets.
	OnPacket func(mqtt.Version) func(client.Direction, []byte)
	// OnResult, unless nil, is told of each result as it comes.
	OnResult func(Result)
}

// Device is another protocol than MQTT.
type Device struct {
	Name  string
	Login func(context.Context) error
	// Try is a command that shows more.
	Try string
}

const (
	defaultPrefix = "iotctl/doctor"
	maxIDBytes    = 65535
	mostPacket    = 1 + 4 + 268_435_455
	cleanupTime   = 5 * time.Second
)

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.CheckTimeout, 10*time.Second)
	def(&c.ConnectTimeout, 5*time.Second)
	def(&c.Timeout, 2*time.Minute)
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Tries == 0 {
		c.Tries = 5
	}
	if c.MaxPacketBytes == 0 {
		c.MaxPacketBytes = 1 << 20
	}
	if c.MaxIDBytes == 0 {
		c.MaxIDBytes = maxIDBytes
	}
	return c
}

// Validate returns all that is wrong, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if strings.ContainsAny(c.Prefix, "+#\x00") || strings.HasPrefix(c.Prefix, "$") || len(c.Prefix) > 1024 {
		errs = append(errs, fmt.Errorf("prefix %.40q: must be a topic of at most 1024 bytes without + and #, and not begin with $", c.Prefix))
	}
	if c.Tries < 1 || c.Tries > 1000 {
		errs = append(errs, errors.New("tries: must be 1 to 1000"))
	}
	if c.MaxPacketBytes < 100 || c.MaxPacketBytes > mostPacket {
		errs = append(errs, fmt.Errorf("the longest packet to try: must be 100 to %d bytes", mostPacket))
	}
	if c.MaxIDBytes < 23 || c.MaxIDBytes > maxIDBytes {
		errs = append(errs, fmt.Errorf("the longest client identifier to try: must be 23 to %d bytes", maxIDBytes))
	}
	for _, d := range []time.Duration{c.CheckTimeout, c.ConnectTimeout, c.Timeout} {
		if d < 0 {
			errs = append(errs, errors.New("times must be above 0"))
			break
		}
	}
	for _, list := range [][]string{c.Only, c.Skip} {
		for _, name := range list {
			if !slices.ContainsFunc(checks(), func(k check) bool { return name != "" && strings.HasPrefix(k.name, name) }) {
				errs = append(errs, fmt.Errorf("no check is called %.40q: there are %s", name, strings.Join(Names(), ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

// Names lists the checks in their order.
func Names() []string {
	var all []string
	for _, k := range checks() {
		all = append(all, k.name)
	}
	return all
}

// wanted tells whether Only and Skip leave a check.
func (c *Config) wanted(name string) bool {
	names := func(list []string) bool {
		return slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	return (len(c.Only) == 0 || names(c.Only)) && !names(c.Skip)
}

// Run examines the server. It returns after the last goroutine has ended; when
// ctx ends, the checks that have not begun are skipped.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	x := newExam(c.withDefaults())
	report := &Report{URL: c.Target.String(), Prefix: x.prefix, Started: time.Now()}
	say := func(r Result) {
		report.Results = append(report.Results, r)
		x.verdicts[r.Check] = r.Verdict
		if c.OnResult != nil {
			c.OnResult(r)
		}
	}
	all, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	for _, k := range checks() {
		if x.wanted(k.name) && (k.when == nil || k.when(x)) {
			say(x.run(all, k))
		}
	}
	if r, did := x.cleanUp(ctx); did {
		say(r)
	}
	if report.Stopped = all.Err(); report.Stopped == nil && over(all) {
		report.Stopped = context.DeadlineExceeded
	}
	report.Took, report.Version = time.Since(report.Started), x.version
	return report, nil
}

// run does one check within its time.
func (x *exam) run(ctx context.Context, k check) Result {
	r := x.hindrance(ctx, k)
	if r.Verdict == "" {
		within, cancel := context.WithTimeout(ctx, x.CheckTimeout)
		began := time.Now()
		r = k.does(within, x)
		r.Took = time.Since(began)
		cancel()
		if over(ctx) && r.Verdict == Failed {
			r.Summary, r.Cause, r.Hint = "not finished: "+endOf(ctx), Stopped, ""
		}
	}
	r.Check = k.name
	return r
}

// hindrance is a result when a check need not begin.
func (x *exam) hindrance(ctx context.Context, k check) Result {
	if over(ctx) {
		return skipped("%s", endOf(ctx))
	}
	if x.Device != nil && k.mqtt {
		return skipped("this is for MQTT, and not for %s", x.Device.Name)
	}
	for _, need := range k.needs {
		root := x.because[need]
		if x.verdicts[need] == Failed {
			root = need
		}
		if root != "" {
			x.because[k.name] = root
			return skipped("because of %s", root)
		}
	}
	return Result{}
}

// over tells whether ctx has ended. A connection with the deadline of ctx may notice
// before ctx does.
func over(ctx context.Context) bool {
	at, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(at)
}

func endOf(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "interrupted"
	}
	return "out of time"
}

func skipped(format string, a ...any) Result {
	return Result{Verdict: Skipped, Summary: fmt.Sprintf(format, a...)}
}

func fine(format string, a ...any) Result {
	return Result{Verdict: OK, Summary: fmt.Sprintf(format, a...)}
}

func warn(format string, a ...any) Result {
	return Result{Verdict: Warning, Summary: fmt.Sprintf(format, a...)}
}

func failed(cause Cause, format string, a ...any) Result {
	return Result{Verdict: Failed, Cause: cause, Summary: fmt.Sprintf(format, a...)}
}

func (r Result) hint(format string, a ...any) Result {
	r.Hint = fmt.Sprintf(format, a...)
	return r
}

func (r Result) with(name string, v any) Result {
	r.Figures = append(r.Figures, Figure{name, v})
	return r
}

func (r Result) detail(format string, a ...any) Result {
	r.Details = append(r.Details, fmt.Sprintf(format, a...))
	return r
}

// ms is a duration as milliseconds with three decimals.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
