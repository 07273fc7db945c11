package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestConnectSaysWhatTheOptionsSay(t *testing.T) {
	user, none := "ada", ""
	for name, tt := range map[string]struct {
		o    Options
		want mqtt.Connect
	}{
		"3.1": {
			Options{Version: mqtt.V31, ClientID: "c", KeepAlive: 7},
			mqtt.Connect{ProtocolName: "MQIsdp", Version: mqtt.V31, ClientID: "c", KeepAlive: 7},
		},
		"3.1.1 with all": {
			Options{
				Version: mqtt.V311, ClientID: "c", CleanStart: true, Username: &user, Password: []byte("p\x00w"),
				Will: &Will{Topic: "w", Payload: []byte{0, 1}, QoS: 2, Retain: true},
			},
			mqtt.Connect{
				ProtocolName: "MQTT", Version: mqtt.V311, ClientID: "c", CleanStart: true,
				HasUsername: true, Username: "ada", HasPassword: true, Password: []byte("p\x00w"),
				Will: &mqtt.Will{Topic: "w", Payload: []byte{0, 1}, QoS: 2, Retain: true},
			},
		},
		"3.1.1 empty credentials": {
			Options{Version: mqtt.V311, CleanStart: true, Username: &none, Password: []byte{}},
			mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V311, CleanStart: true, HasUsername: true, HasPassword: true},
		},
		"5.0 password alone": {
			Options{Version: mqtt.V5, CleanStart: true, Password: []byte("pw")},
			mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, CleanStart: true, HasPassword: true, Password: []byte("pw")},
		},
		"5.0 with properties": {
			Options{
				Version: mqtt.V5, ClientID: "c",
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 60).
					AppendUint16(mqtt.PropReceiveMaximum, 9).AppendUserProperty("a", "1").AppendUserProperty("a", "2"),
				Will: &Will{Topic: "w", Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, 5)},
			},
			mqtt.Connect{
				ProtocolName: "MQTT", Version: mqtt.V5, ClientID: "c",
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 60).
					AppendUint16(mqtt.PropReceiveMaximum, 9).AppendUserProperty("a", "1").AppendUserProperty("a", "2"),
				Will: &mqtt.Will{Topic: "w", Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, 5)},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			tt.o.Dial = l.dial
			c, err := New(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			connected := make(chan error, 1)
			go func() { _, err := c.Connect(t.Context()); connected <- err }()
			p := l.next(tt.o.Version)
			got := p.connect()
			got.Properties = sorted(got.Properties)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			p.send(mqtt.Connack{})
			if err := <-connected; err != nil {
				t.Error(err)
			}
			_ = c.Close()
			<-c.Done()
		})
	}
}

// sorted orders properties by identifier; user properties keep their order.
func sorted(props mqtt.Properties) (out mqtt.Properties) {
	all := slices.Collect(props.All())
	slices.SortStableFunc(all, func(a, b mqtt.Property) int { return int(a.ID) - int(b.ID) })
	for _, p := range all {
		out = out.Append(p)
	}
	return out
}

func TestConnectFailures(t *testing.T) {
	reason := mqtt.Properties(nil).AppendString(mqtt.PropReasonString, "not today")
	for name, tt := range map[string]struct {
		v     mqtt.Version
		serve func(*peer)
		want  func(error) bool
	}{
		"3.1.1 refused": {mqtt.V311, func(p *peer) { p.send(mqtt.Connack{Code: mqtt.V3BadUserNameOrPassword}) }, refusedWith(4)},
		"3.1 refused":   {mqtt.V31, func(p *peer) { p.send(mqtt.Connack{Code: mqtt.V3UnacceptableProtocolVersion}) }, refusedWith(1)},
		"3.1.1 refused with an unknown code": {
			mqtt.V311, func(p *peer) { _, _ = p.conn.Write([]byte{0x20, 2, 0, 99}) }, refusedWith(99),
		},
		"5.0 refused by a server of 3.1.1": {
			mqtt.V5, func(p *peer) { _, _ = p.conn.Write([]byte{0x20, 2, 0, 1}) }, func(err error) bool {
				return refusedWith(1)(err) && strings.Contains(err.Error(), "unacceptable protocol version")
			},
		},
		"5.0 refused":          {mqtt.V5, func(p *peer) { p.send(mqtt.Connack{Code: mqtt.Banned, Properties: reason}) }, refusedWith(mqtt.Banned)},
		"3.1.1 closed":         {mqtt.V311, func(p *peer) { p.end() }, is(ErrClosedBeforeConnack)},
		"5.0 closed":           {mqtt.V5, func(p *peer) { p.end() }, is(ErrClosedBeforeConnack)},
		"3.1.1 silent":         {mqtt.V311, func(p *peer) { p.discard() }, is(ErrTimeout)},
		"5.0 silent":           {mqtt.V5, func(p *peer) { p.discard() }, is(ErrTimeout)},
		"another packet first": {mqtt.V311, func(p *peer) { p.send(mqtt.Pingresp{}) }, malformed},
		"5.0 another packet":   {mqtt.V5, func(p *peer) { p.send(mqtt.Pingresp{}) }, malformed},
		"not MQTT":             {mqtt.V311, func(p *peer) { _, _ = p.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, malformed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				o := options(l, tt.v)
				o.Reconnect.Attempts = -1 // the first connection is not retried
				c, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					p := l.next(tt.v)
					p.connect()
					tt.serve(p)
				}()
				began := time.Now()
				_, err = c.Connect(t.Context())
				if !tt.want(err) {
					t.Errorf("error %v (%T)", err, err)
				}
				<-c.Done()
				if took := time.Since(began); errors.Is(err, ErrTimeout) && took != 10*time.Second {
					t.Errorf("time-out after %v", took)
				}
				if c.Err() != err {
					t.Errorf("Err() = %v", c.Err())
				}
			})
		})
	}
}

func TestNewRefusesWhatNoServerCanRead(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for name, change := range map[string]func(*Options){
		"long client identifier": func(o *Options) { o.ClientID = long },
		"long user name":         func(o *Options) { o.Username = &long },
		"long will":              func(o *Options) { o.Will = &Will{Topic: "w", Payload: []byte(long)} },
		"client identifier":      func(o *Options) { o.ClientID = "c\xff" },
		"will topic":             func(o *Options) { o.Will = &Will{Topic: "w\xff"} },
	} {
		for _, v := range bothLibraries {
			o := options(newListener(t), v)
			change(&o)
			if _, err := New(o); err == nil {
				t.Errorf("%v: %s was taken", v, name)
			}
		}
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func refusedWith(code mqtt.ReasonCode) func(error) bool {
	return func(err error) bool {
		e := new(ConnectError)
		return errors.As(err, &e) && e.Code == code
	}
}

func malformed(err error) bool {
	e := new(mqtt.Malformed)
	return errors.As(err, &e)
}

func TestConnectTimeoutCoversDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{
			Version: mqtt.V5, ConnectTimeout: time.Second,
			Dial: func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connect(t.Context()); !errors.Is(err, ErrTimeout) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAuthenticationExchange(t *testing.T) {
	method := mqtt.Properties(nil).AppendString(mqtt.PropAuthenticationMethod, "M")
	with := func(data string) mqtt.Properties {
		return slices.Clone(method).AppendBytes(mqtt.PropAuthenticationData, []byte(data))
	}
	l := newListener(t)
	o := options(l, mqtt.V5)
	o.Properties = with("1")
	o.OnAuth = func(code mqtt.ReasonCode, props mqtt.Properties) (mqtt.Properties, error) {
		if data, _ := props.Bytes(mqtt.PropAuthenticationData); code != mqtt.ContinueAuthentication || string(data) != "2" {
			t.Errorf("AUTH %v %q", code, data)
		}
		return with("3"), nil
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan error, 1)
	go func() { _, err := c.Connect(t.Context()); connected <- err }()
	p := l.next(mqtt.V5)
	p.connect()
	p.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: with("2")})
	p.want(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: with("3")})
	p.send(mqtt.Connack{Properties: method})
	if err := <-connected; err != nil {
		t.Error(err)
	}
	_ = c.Close()
	<-c.Done()
}

func TestDisconnect(t *testing.T) {
	expiry := mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 9)
	for _, v := range bothLibraries {
		for name, tt := range map[string]struct {
			qos                 uint8
			serverCloses, waits bool
		}{
			"server closes":                          {0, true, false},
			"server stays":                           {0, false, true},
			"server stays, all acknowledged already": {1, false, false},
		} {
			t.Run(v.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newListener(t)
					o := options(l, v)
					o.Properties = nil
					c, p := start(t, l, o, mqtt.Connack{})
					code, props, want := mqtt.Success, mqtt.Properties(nil), mqtt.Disconnect{}
					if v == mqtt.V5 {
						code, props = mqtt.DisconnectWithWill, expiry
						want = mqtt.Disconnect{Code: code, Properties: props}
					}
					if err := c.Publish(t.Context(), Message{Topic: "last", QoS: tt.qos}, nil); err != nil {
						t.Fatal(err)
					}
					p.want(publish("last", tt.qos, uint16(tt.qos), false))
					if tt.qos == 1 {
						p.send(mqtt.Puback{PacketID: 1})
						if err := c.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					began := time.Now()
					result := make(chan error, 1)
					go func() { result <- c.Disconnect(t.Context(), code, props) }()
					p.want(want)
					if tt.serverCloses {
						p.end()
					}
					if err := <-result; err != nil {
						t.Error(err)
					}
					if took := time.Since(began); tt.waits != (took > 0) || took > linger {
						t.Errorf("took %v", took)
					}
					if p.read() != nil {
						t.Error("something follows DISCONNECT")
					}
					if err := c.Publish(t.Context(), Message{Topic: "late"}, nil); !errors.Is(err, ErrClosed) {
						t.Errorf("publish afterwards: %v", err)
					}
				})
			})
		}
	}
}

func TestKeepAlive(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newListener(t)
				o := options(l, v)
				o.KeepAlive = 60
				c, p := start(t, l, o, mqtt.Connack{})
				began := time.Now()
				for range 3 {
					p.want(mqtt.Pingreq{})
					p.send(mqtt.Pingresp{})
				}
				if took := time.Since(began); took < 180*time.Second || took > 270*time.Second { // [MQTT-3.1.2-22]
					t.Errorf("three pings within %v", took)
				}
				p.want(mqtt.Pingreq{})
				p.discard() // no answer
				<-c.Done()
				if err := c.Err(); !errors.Is(err, ErrTimeout) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestDisconnectMeetingALossIsPrompt(t *testing.T) {
	for _, v := range bothLibraries {
		t.Run(v.String(), func(t *testing.T) {
			for range 50 {
				l := newListener(t)
				c, p := start(t, l, options(l, v), mqtt.Connack{})
				go p.end()
				began := time.Now()
				_ = c.Disconnect(t.Context(), 0, nil) // with or without success
				if took := time.Since(began); took > 5*time.Second {
					t.Fatalf("took %v", took)
				}
			}
		})
	}
}

func TestCloseInOnMessage(t *testing.T) {
	l := newListener(t)
	o := options(l, mqtt.V311)
	var c *Client
	connected := make(chan struct{})
	o.OnMessage = func(Message) { <-connected; _ = c.Close() }
	c, p := start(t, l, o, mqtt.Connack{})
	close(connected)
	p.send(publish("t", 0, 0, false))
	<-c.Done()
	if err := c.Err(); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestUnusedClientCanBeClosed(t *testing.T) {
	l := newListener(t)
	for _, end := range []func(*Client){
		func(c *Client) { _ = c.Close() },
		func(c *Client) { _ = c.Disconnect(t.Context(), 0, nil) },
	} {
		c, err := New(options(l, mqtt.V5))
		if err != nil {
			t.Fatal(err)
		}
		end(c)
		end(c)
		<-c.Done()
		if _, err := c.Connect(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("connect afterwards: %v", err)
		}
	}
}
