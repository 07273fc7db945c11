package exproto

import (
	"fmt"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/transport"
)

// port is a listener that is served, and what is behind it.
type port struct {
	g          *Gateway
	l          transport.Listener
	handler    *handler
	service    string
	codec      *frame.Codec // nil: bytes as they come
	mountpoint string
	telling    sync.WaitGroup // those who tell the handler
}

func (g *Gateway) openPort(l transport.Listener) (*port, error) {
	lc := g.cfg.listener(l.Config().Name, l.URL())
	p := &port{g: g, l: l, mountpoint: lc.Mountpoint, service: lc.Handler.Service}
	var err error
	if p.codec, err = openFraming(lc.Framing, lc.FramingFile); err != nil {
		return nil, fmt.Errorf("framing: %w", err)
	}
	if p.handler, err = newHandler(lc.Handler, g.turns.of(lc.Handler), g.log); err != nil {
		return nil, fmt.Errorf("handler: %w", err)
	}
	return p, nil
}

// announce logs which of the three ports is whose: they are easily confused.
func (p *port) announce() {
	log := p.g.log.With("listener", p.l.URL())
	log.Info("exproto: devices connect here", "url", p.l.URL())
	log.Info("exproto: your handler listens here and is told of events", "url", p.handler.address(), "service", p.service)
	log.Info("exproto: your handler calls here", "url", p.g.AdapterURL(), "service", "ConnectionAdapter")
}

func (p *port) close() { p.handler.close() }
