package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// TestBulkPassesTransparentProxy sends much both ways at once, however it is moved,
// and ends one way after the other.
func TestBulkPassesTransparentProxy(t *testing.T) {
	for _, mode := range []proxy.Splice{proxy.SpliceAuto, proxy.SpliceAlways, proxy.SpliceNever} {
		t.Run(mode.String(), func(t *testing.T) {
			l := proxytest.Listen(t, "tcp://127.0.0.1:0", transport.ListenConfig{})
			e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Transparent, c.Splice = true, mode })
			c := proxytest.Dial(t, proxytest.URL(e), mqtt.V311)
			s := l.Next(mqtt.V311)
			data := noise(24 << 20)
			send := func(p *proxytest.Peer) error {
				_, err := p.Write(data)
				if err == nil {
					err = p.CloseWrite()
				}
				return err
			}
			take := func(p *proxytest.Peer) error {
				got, err := io.ReadAll(p.Conn)
				if err == nil && !bytes.Equal(got, data) {
					err = fmt.Errorf("%d bytes of %d", len(got), len(data))
				}
				return err
			}
			errs := make(chan error, 4)
			for _, p := range []*proxytest.Peer{c, s} {
				_ = p.SetDeadline(time.Now().Add(proxytest.Limit))
				go func() { errs <- send(p) }()
				go func() { errs <- take(p) }()
			}
			for range 4 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			until(t, "the connection is not counted as ended", func() bool {
				return strings.Contains(metrics(t, e), "iotctl_proxy_connections 0\n")
			})
		})
	}
}

func TestAnythingPassesTransparentProxy(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer srv.Close()
	e := proxytest.Start(t, strings.Replace(srv.URL, "http", "tcp", 1), func(c *proxy.Config) {
		c.Transparent = true
		c.Listeners[0].URL = "tcp://127.0.0.1:0"
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Post(strings.Replace(proxytest.URL(e), "tcp", "http", 1), "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestMetricsCountWhatPasses(t *testing.T) {
	onBothWays(t, func(t *testing.T, change func(*proxy.Config)) {
		l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		e := proxytest.Start(t, l.URL(), change)
		c := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
		s, _ := l.Welcome(mqtt.V5)
		c.Next()
		c.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		c.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 2})
		s.Next()
		s.Next()
		s.Send(mqtt.Puback{PacketID: 1})
		c.Next()
		text := metrics(t, e)
		for _, want := range []string{
			"iotctl_proxy_connections 1\n",
			`iotctl_proxy_packets_total{direction="c2s",type="CONNECT"} 1`,
			`iotctl_proxy_packets_total{direction="c2s",type="PUBLISH"} 2`,
			`iotctl_proxy_packets_total{direction="s2c",type="CONNACK"} 1`,
			`iotctl_proxy_packets_total{direction="s2c",type="PUBACK"} 1`,
			`iotctl_proxy_unacknowledged{direction="c2s"} 1`,
			`iotctl_proxy_answer_seconds_count{pair="connect"} 1`,
			`iotctl_proxy_answer_seconds_count{pair="publish_qos1"} 1`,
			`iotctl_proxy_answer_seconds_bucket{pair="publish_qos1",le="+Inf"} 1`,
			fmt.Sprintf("iotctl_proxy_broker_connections{broker=%q} 1\n", l.URL()),
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is not in\n%s", want, text)
			}
		}
		c.Send(mqtt.Disconnect{})
		_ = c.CloseWrite()
		s.Next()
		_ = s.Close()
		c.Closed()
		until(t, "the end is not counted", func() bool {
			text := metrics(t, e)
			return strings.Contains(text, `iotctl_proxy_ended_total{reason="disconnect"} 1`) &&
				strings.Contains(text, `iotctl_proxy_unacknowledged{direction="c2s"} 0`) && strings.Contains(text, "iotctl_proxy_connections 0\n")
		})
	})
}
