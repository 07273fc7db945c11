package client

import (
	"fmt"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// paho3 holds the conversation of MQTT 3.1 and 3.1.1.
type paho3 struct {
	options *paho.ClientOptions
	client  paho.Client
	w       wire
	// connectPacket replaces the library's CONNECT where that cannot say what
	// is asked for: a user name or password that is there and empty.
	connectPacket []byte
	running       bool
	ended         chan struct{} // the library noticed the loss
}

// never is long enough that the client's own clocks are the ones that count.
const never = 1000 * time.Hour

func newPaho3(c *Client, id string, clean bool) *paho3 {
	p := &paho3{ended: make(chan struct{}, 1)}
	o := paho.NewClientOptions()
	o.AddBroker("tcp://unused") // the library dials only if there is a name; OpenConnection ignores it
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return p.w, nil })
	o.SetProtocolVersion(uint(c.o.Version)) // explicit, so there is no fallback to 3.1
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetConnectTimeout(never)
	o.SetClientID(id)
	o.SetCleanSession(clean)
	o.SetKeepAlive(time.Duration(c.o.KeepAlive) * time.Second)
	o.SetPingTimeout(time.Duration(c.o.KeepAlive) * time.Second)
	if c.o.Username != nil {
		o.SetUsername(*c.o.Username)
		o.SetPassword(string(c.o.Password))
		if *c.o.Username == "" || c.o.Password != nil && len(c.o.Password) == 0 {
			p.connectPacket, _ = c.connectPacket(id, clean).Append(nil, c.o.Version)
		}
	}
	if w := c.o.Will; w != nil {
		o.SetBinaryWill(w.Topic, w.Payload, w.QoS, w.Retain)
	}
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		// The link knows better unless the library itself gave up, which it
		// does for a missing PINGRESP, and when it may not write after
		// DISCONNECT.
		if !p.w.l.leaving() {
			p.w.l.fail(fmt.Errorf("PINGREQ: %w (%w)", ErrTimeout, err))
		}
		p.ended <- struct{}{}
	})
	p.options = o
	return p
}

func (p *paho3) connect(w wire) error {
	p.w = w
	w.l.c.mu.Lock()
	w.l.connectPacket = p.connectPacket
	w.l.c.mu.Unlock()
	p.client = paho.NewClient(p.options)
	token := p.client.Connect()
	token.Wait()
	if err := token.Error(); err != nil {
		return err
	}
	p.running = true
	return nil
}

func (p *paho3) wait() {
	if p.running {
		<-p.ended
	}
}

// connectPacket is CONNECT as the options describe it.
func (c *Client) connectPacket(id string, clean bool) mqtt.Connect {
	p := mqtt.Connect{
		Version: c.o.Version, CleanStart: clean, KeepAlive: c.o.KeepAlive, Properties: c.o.Properties, ClientID: id,
		HasPassword: c.o.Password != nil, Password: c.o.Password,
	}
	if c.o.Username != nil {
		p.HasUsername, p.Username = true, *c.o.Username
	}
	if w := c.o.Will; w != nil {
		p.Will = &mqtt.Will{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain, Properties: w.Properties}
	}
	return p
}
