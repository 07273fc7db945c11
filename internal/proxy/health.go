package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// HealthMode is how it is found out whether a broker is well.
type HealthMode uint8

// Values of HealthMode.
const (
	HealthOff     HealthMode = iota // only by clients that cannot be passed on
	HealthTCP                       // it accepts connections, with TLS and WebSocket where it has them
	HealthConnect                   // it answers CONNECT
	HealthPing                      // it answers PINGREQ on a connection that is kept
)

var healthNames = [...]string{"off", "tcp", "connect", "ping"}

func (m HealthMode) String() string { return healthNames[m] }

// UnmarshalText reads the name.
func (m *HealthMode) UnmarshalText(b []byte) error {
	return named((*uint8)(m), healthNames[:], b)
}

// Health says how brokers are watched.
type Health struct {
	Mode     HealthMode
	Interval time.Duration // 0: 5 s
	Timeout  time.Duration // of one check. 0: 3 s
	Fall     int           // failures in a row until a broker is down. 0: 3
	Rise     int           // successes in a row until it is up again. 0: 2
	ClientID string        // of the checks by MQTT; a random end is added. "": "iotctl-proxy-health"
	Username string
	Password string
	Version  mqtt.Version // 0: 3.1.1
}

func (h Health) withDefaults() Health {
	if h.Interval == 0 {
		h.Interval = 5 * time.Second
	}
	if h.Timeout == 0 {
		h.Timeout = 3 * time.Second
	}
	if h.Fall == 0 {
		h.Fall = 3
	}
	if h.Rise == 0 {
		h.Rise = 2
	}
	if h.ClientID == "" {
		h.ClientID = "iotctl-proxy-health"
	}
	if h.Version == 0 {
		h.Version = mqtt.V311
	}
	return h
}

// Validate returns every problem, joined.
func (h *Health) Validate() error {
	var errs []error
	if h.Interval < 0 || h.Timeout < 0 {
		errs = append(errs, errors.New("health: a time is negative"))
	}
	if h.Fall < 0 || h.Rise < 0 {
		errs = append(errs, errors.New("health: a threshold is negative"))
	}
	if h.Username == "" && h.Password != "" {
		errs = append(errs, errors.New("health.password: there is no username"))
	}
	return errors.Join(errs...)
}

// probe watches one broker.
type probe struct {
	Health
	u       *upstream
	log     *slog.Logger
	preface []byte // an own PROXY header, for brokers that need one

	nc         transport.Conn // of HealthPing, nil without
	good, fall int            // in a row
}

// watch checks the broker until ctx ends.
func (p *probe) watch(ctx context.Context) {
	defer p.hangUp()
	tick := time.NewTicker(p.Interval)
	defer tick.Stop()
	for {
		err := p.check(ctx)
		if ctx.Err() != nil {
			return
		}
		p.judge(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judge takes the result of one check.
func (p *probe) judge(err error) {
	if err == nil {
		p.fall = 0
		if p.good++; p.good >= p.Rise && p.u.down.CompareAndSwap(true, false) {
			p.log.Info("broker is up", "broker", p.u.name)
		}
		return
	}
	p.good = 0
	p.log.Debug("health check failed", "broker", p.u.name, "err", err)
	if p.fall++; p.fall >= p.Fall && p.u.down.CompareAndSwap(false, true) {
		p.log.Warn("broker is down", "broker", p.u.name, "err", err)
	}
}

func (p *probe) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if p.nc != nil {
		err := p.ping(ctx)
		if err != nil {
			p.hangUp()
		}
		return err
	}
	nc, err := p.u.dial(ctx, p.Timeout, p.preface, "")
	if err != nil {
		return err
	}
	p.nc = nc
	if p.Mode != HealthTCP {
		err = p.connect(ctx)
	}
	if err == nil && p.Mode == HealthPing {
		err = p.ping(ctx)
	}
	if err != nil || p.Mode != HealthPing {
		p.hangUp()
	}
	return err
}

// hangUp ends the connection, with DISCONNECT after a CONNECT.
func (p *probe) hangUp() {
	if p.nc == nil {
		return
	}
	if p.Mode != HealthTCP {
		_ = p.nc.SetWriteDeadline(time.Now().Add(time.Second))
		if b, err := (mqtt.Disconnect{}).Append(nil, p.Version); err == nil {
			_, _ = p.nc.Write(b)
		}
	}
	_ = p.nc.Close()
	p.nc = nil
}

func (p *probe) connect(ctx context.Context) error {
	c := mqtt.Connect{
		Version: p.Version, CleanStart: true, KeepAlive: uint16(min(3*p.Interval/time.Second+30, 65535)),
		ClientID: p.ClientID + "-" + rand.Text()[:6], HasUsername: p.Username != "", Username: p.Username,
		HasPassword: p.Password != "", Password: []byte(p.Password),
	}
	b, err := c.Append(nil, p.Version)
	if err != nil {
		return err
	}
	h, body, err := p.ask(ctx, b)
	if err != nil {
		return err
	}
	if h.Type != mqtt.TypeConnack {
		return fmt.Errorf("%v in place of CONNACK", h.Type)
	}
	ack, err := mqtt.ParseConnack(body, h.Flags, &mqtt.Options{Version: p.Version, FromServer: true})
	if err == nil && ack.Code != mqtt.Success {
		err = fmt.Errorf("CONNACK: %s", ack.Code.Name(mqtt.TypeConnack, p.Version))
	}
	return err
}

func (p *probe) ping(ctx context.Context) error {
	b, err := mqtt.Pingreq{}.Append(nil, p.Version)
	if err != nil {
		return err
	}
	h, _, err := p.ask(ctx, b)
	if err == nil && h.Type != mqtt.TypePingresp {
		err = fmt.Errorf("%v in place of PINGRESP", h.Type)
	}
	return err
}

// ask writes a packet and reads one.
func (p *probe) ask(ctx context.Context, packet []byte) (mqtt.Header, []byte, error) {
	nc := p.nc
	at, _ := ctx.Deadline()
	_ = nc.SetDeadline(at)
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write(packet); err != nil {
		return mqtt.Header{}, nil, err
	}
	return readPacket(nc, 64<<10)
}

// readPacket reads exactly one packet of at most limit bytes.
func readPacket(r io.Reader, limit int) (h mqtt.Header, body []byte, err error) {
	b := make([]byte, 2, 16)
	if _, err := io.ReadFull(r, b); err != nil {
		return h, nil, err
	}
	for {
		var n int
		if h, body, n, err = mqtt.Frame(b, limit); !errors.Is(err, mqtt.ErrShort) {
			return h, body, err
		}
		at := len(b)
		b = append(b, make([]byte, max(1, n-at))...)
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return h, nil, err
		}
	}
}
