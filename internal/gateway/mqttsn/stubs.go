package mqttsn

// What is not written yet, so that everything else compiles. Whoever writes a
// thing takes it out of here; the file goes with the last one.

import "github.com/iotctl/iotctl/internal/codec/mqttsn"

// Front: forwarders, discovery.
func (g *Gateway) unwrap(w *work, p path, body, inner []byte) {}

func (g *Gateway) discover(w *work, p path, t mqttsn.Type, body []byte) {}
