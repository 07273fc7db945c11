package pairing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/authtest"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is an authenticator with a clock and a log.
type bench struct {
	*Authenticator
	t     *testing.T
	clock *clock
	log   *strings.Builder
}

func open(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), log: &strings.Builder{}}
	c.Now = b.clock.now
	c.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	b.Authenticator = b.again(c)
	return b
}

func (b *bench) again(c Config) *Authenticator {
	b.t.Helper()
	c.Now, c.Logger = b.clock.now, slog.New(slog.NewTextHandler(b.log, nil))
	a, err := New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	a.TakeOver(nil, func(name string) bool { return name == "device:taken" })
	return a
}

func from(addr string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

func secret(id, password string) auth.Credentials {
	return auth.Credentials{
		ClientID: id, HasPassword: true, Password: []byte(password),
		Remote: from("192.0.2.1:1000"), Listener: "field", Protocol: "mqtt",
	}
}

func bare(id, addr string) auth.Credentials {
	return auth.Credentials{ClientID: id, Remote: from(addr), Listener: "field", Protocol: "mqtt"}
}

// key is a device with a certificate that nobody has signed.
func key(t *testing.T, id string) auth.Credentials {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certified(t, id, k)
}

func certified(t *testing.T, id string, k *ecdsa.PrivateKey) auth.Credentials {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: id}},
		&x509.Certificate{}, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c := bare(id, "192.0.2.2:1000")
	c.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	return c
}

// try returns "allow NAME", "deny", "ignore", "full" or the code of a request.
func (b *bench) try(c auth.Credentials) string {
	b.t.Helper()
	return try(b.t, b.Authenticator, c)
}

func try(t *testing.T, a auth.Authenticator, c auth.Credentials) string {
	t.Helper()
	id, v, err := a.Authenticate(t.Context(), c)
	var pending *auth.Pending
	switch {
	case errors.As(err, &pending) && pending.Code == "":
		return "full"
	case errors.As(err, &pending):
		if v != auth.Deny || id != (auth.Identity{}) || !IsCode(pending.Code) {
			t.Errorf("%v, %+v beside %v", v, id, err)
		}
		return pending.Code
	case err != nil:
		t.Error(err)
	case v == auth.Allow:
		if id.ClientID != c.ClientID || id.Username != c.Username || !strings.HasPrefix(id.Method, "pairing ") {
			t.Errorf("%+v for %+v", id, c)
		}
		return "allow " + id.Name
	case id != (auth.Identity{}):
		t.Errorf("%v for %+v", v, id)
	}
	return v.String()
}

func (b *bench) want(c auth.Credentials, want string) {
	b.t.Helper()
	if got := b.try(c); got != want {
		b.t.Errorf("%s at %s: %q, want %q", c.ClientID, c.Listener, got, want)
	}
}

// waits returns the code of a client that has to wait.
func (b *bench) waits(c auth.Credentials) string {
	b.t.Helper()
	code := b.try(c)
	if !IsCode(code) {
		b.t.Fatalf("%s: %q, want a code", c.ClientID, code)
	}
	return code
}

func (b *bench) approve(code string, o Approval) {
	b.t.Helper()
	if _, err := b.Approve(code, o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) states() string {
	var all []string
	for _, e := range b.List(0, 1000) {
		all = append(all, e.Client+" "+e.State.String())
	}
	return strings.Join(all, ", ")
}

func TestContract(t *testing.T) {
	elsewhere := secret("a", "1")
	elsewhere.Listener = "other"
	name := secret("b", "2")
	name.HasUsername, name.Username = true, "u"
	k := key(t, "c")
	authtest.Run(t, authtest.Authenticator{
		New: func(t *testing.T) auth.Authenticator {
			b := open(t, Config{Listeners: []string{"field"}, Path: filepath.Join(t.TempDir(), "pairing.json")})
			for c, user := range map[*auth.Credentials]string{{ClientID: "a", HasPassword: true, Password: []byte("1"), Listener: "field"}: "", &name: "someone", &k: ""} {
				b.approve(b.waits(*c), Approval{Name: user})
			}
			if _, err := b.Reject(b.waits(secret("d", "4"))); err != nil {
				t.Fatal(err)
			}
			return b.Authenticator
		},
		Allowed: map[string]auth.Credentials{"device:a": secret("a", "1"), "someone": name, "device:c": k},
		Denied: map[string]auth.Credentials{
			"rejected": secret("d", "4"), "bare": bare("e", "192.0.2.9:1"), "no identifier": secret("", "5"),
			"long identifier": secret(strings.Repeat("x", 257), "5"), "not text": secret("\xff", "5"),
		},
		Ignored: map[string]auth.Credentials{"another listener": elsewhere},
	})
}

func TestStates(t *testing.T) {
	b := open(t, Config{})
	c := secret("pump", "s")
	code := b.waits(c)
	b.want(c, code) // the same request
	b.clock.advance(9 * time.Minute)
	b.want(c, code)
	b.clock.advance(9 * time.Minute)
	b.want(c, code) // it lives as long as it is repeated
	if got := b.List(0, 9); len(got) != 1 || got[0].Tries != 4 || got[0].State != Pending {
		t.Fatalf("%+v", got)
	}
	b.clock.advance(10 * time.Minute)
	if got := b.states(); got != "" {
		t.Errorf("after its lifetime: %s", got)
	}
	if _, err := b.Approve(code, Approval{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("approval of an expired request: %v", err)
	}
	code = b.waits(c)
	b.approve(code, Approval{For: time.Hour})
	b.want(c, "allow device:pump")
	b.clock.advance(time.Hour - 1)
	b.want(c, "allow device:pump")
	if got := b.Revoked(b.clock.now()); len(got) != 0 {
		t.Errorf("%+v before the end", got)
	}
	b.clock.advance(1)
	if got := b.states(); got != "pump expired" {
		t.Error(got)
	}
	if got := b.Revoked(b.clock.now()); len(got) != 1 || got[0].ClientID != "pump" || got[0].Name != "device:pump" {
		t.Errorf("%+v at the end", got)
	}
	again := b.waits(c)
	if again == code {
		t.Error("two devices with one code")
	}
	b.approve(again, Approval{})
	if got := b.states(); got != "pump approved" {
		t.Error(got)
	}
	id, _, _ := b.Authenticate(t.Context(), c)
	if got := b.Revoked(b.clock.now()); id.Name != "device:pump" || slices.Contains(got, id) {
		t.Errorf("%+v, and revoked are %+v, after it was approved again", id, got)
	}
	b.clock.advance(1000 * time.Hour)
	b.want(c, "allow device:pump")
	if _, err := b.Reject(again); err != nil {
		t.Fatal(err)
	}
	b.want(c, "deny")
	if got := b.Revoked(b.clock.now()); len(got) != 1 {
		t.Errorf("%+v after the rejection", got)
	}
	b.clock.advance(revokedFor)
	if got := b.Revoked(b.clock.now()); len(got) != 0 {
		t.Errorf("%+v for ever", got)
	}
	b.want(c, "deny")
	if _, err := b.Forget(again); err != nil {
		t.Fatal(err)
	}
	b.waits(c)
	if got := b.states(); got != "pump pending" {
		t.Error(got)
	}
}

func TestApprovalIsBoundToWhatWasPresented(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	user := func(c auth.Credentials, name string) auth.Credentials {
		c.HasUsername, c.Username = true, name
		return c
	}
	elsewhere := func(c auth.Credentials) auth.Credentials {
		c.Listener = "other"
		return c
	}
	all := []auth.Credentials{
		secret("a", "1"), secret("a", "2"), user(secret("a", "1"), "u"), user(secret("a", "1"), ""), user(secret("a", "1"), "v"),
		secret("a", "\x00"), key(t, "a"), certified(t, "a", k), elsewhere(secret("a", "1")), bare("a", "192.0.2.1:1"),
		user(bare("a", "192.0.2.1:1"), "1"), secret("b", "1"), secret("A", "1"), secret("a ", "1"),
	}
	for i, approved := range all {
		b := open(t, Config{InsecureID: true, InsecureNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, MaxPerAddress: 100})
		b.approve(b.waits(approved), Approval{Name: "x"})
		for j, c := range all {
			if i == j {
				b.want(c, "allow x")
				continue
			}
			code := b.waits(c)
			var taken *TakenError
			_, err := b.Approve(code, Approval{Name: "y"})
			if same := c.ClientID == approved.ClientID && c.Listener == approved.Listener; same != errors.As(err, &taken) {
				t.Errorf("%d beside %d: %v", j, i, err)
			}
			if _, err := b.Forget(code); err != nil {
				t.Fatal(err)
			}
			b.want(approved, "allow x")
		}
	}
	b := open(t, Config{})
	b.approve(b.waits(certified(t, "a", k)), Approval{})
	renewed := user(certified(t, "a", k), "u")
	renewed.HasPassword, renewed.Password = true, []byte("x")
	b.want(renewed, "allow device:a") // another certificate for the same key, and what proves nothing beside it
}

func TestInsecureDevices(t *testing.T) {
	b := open(t, Config{InsecureID: true, InsecureNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	b.waits(bare("a", "192.0.2.9:1"))
	b.waits(bare("a6", "[2001:db8::1]:1"))
	b.waits(bare("mapped", "[::ffff:192.0.2.7]:1"))
	b.want(bare("b", "198.51.100.1:1"), "deny")
	local := bare("c", "192.0.2.9:1")
	local.Remote = nil
	b.want(local, "deny")
	empty := secret("d", "")
	empty.Remote = from("198.51.100.1:1")
	b.want(empty, "deny")
	for _, e := range b.List(0, 9) {
		if !e.Insecure || e.Proof != Bare {
			t.Errorf("%+v", e)
		}
	}
	for _, c := range []Config{
		{InsecureID: true},
		{InsecureNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Listeners: []string{""}},
		{Listeners: []string{}},
		{MaxPending: -1},
		{MaxPending: maxMaxPending + 1},
		{MaxPerAddress: -1},
		{Lifetime: -1},
		{Lifetime: time.Second},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is valid", c)
		}
	}
	named := open(t, Config{InsecureID: true, Listeners: []string{"field"}, InsecureNetworks: []netip.Prefix{}})
	named.waits(bare("a", "198.51.100.1:1"))
}

func TestOpenDoor(t *testing.T) {
	b := open(t, Config{})
	waiting := secret("early", "1")
	code := b.waits(waiting)
	if err := b.Open(2*time.Minute, 2, "field"); err != nil {
		t.Fatal(err)
	}
	other := secret("other", "1")
	other.Listener = "elsewhere"
	b.waits(other)
	b.waits(secret("taken", "1"))    // the name of a user
	b.waits(secret("a\u202eb", "1")) // cannot be printed
	if d := b.Door(); d == nil || d.Left != 2 {
		t.Fatalf("%+v", d)
	}
	b.want(waiting, "allow device:early")
	b.want(secret("next", "2"), "allow device:next")
	b.waits(secret("late", "3"))
	b.want(waiting, "allow device:early")
	if got := b.Find(code, ""); len(got) != 1 || got[0].State != Approved {
		t.Errorf("%+v", got)
	}
	if d := b.Door(); d != nil {
		t.Errorf("%+v", d)
	}
	if err := b.Open(2*time.Minute, 1, ""); err != nil {
		t.Fatal(err)
	}
	b.waits(secret("next", "another secret")) // nobody takes the place of an approved device
	b.clock.advance(2 * time.Minute)
	b.waits(secret("too late", "4"))
	if err := b.Open(time.Minute, 1, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.Open(0, 0, ""); err != nil {
		t.Fatal(err)
	}
	b.waits(secret("shut", "5"))
	for _, c := range []struct {
		within time.Duration
		most   int
	}{{0, 1}, {2 * time.Hour, 1}, {time.Minute, -1}, {time.Minute, 1001}} {
		if b.Open(c.within, c.most, "") == nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestOneDeviceTakesOnePlaceOfTheDoor(t *testing.T) {
	b := open(t, Config{Path: filepath.Join(t.TempDir(), "pairing.json")})
	if err := b.Open(time.Minute, 2, ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 32 {
		c := secret([]string{"a", "b", "c", "d"}[i%4], "s")
		wg.Go(func() { _, _, _ = b.Authenticate(t.Context(), c) })
	}
	wg.Wait()
	if n := strings.Count(b.states(), "approved"); n != 2 {
		t.Errorf("%s", b.states())
	}
}
