// Package gateway is the contract of the protocol front ends. MQTT is one of
// them.
//
// To add a gateway:
//
//  1. create codec/x with a file per packet and gateway/x with Config and New;
//  2. implement Gateway: read, parse, call the broker (see broker/doc.go),
//     implement broker.Receiver for the way back;
//  3. run gatewaytest.Run over it;
//  4. add one line to cmd/iotctl/builtin.go.
package gateway

import (
	"context"

	"github.com/iotctl/iotctl/internal/transport"
)

// Gateway is one wire protocol turned into broker calls.
type Gateway interface {
	// Serve handles l until ctx ends or l is closed. It owns every goroutine
	// that it starts and returns after the last has ended. When ctx ends it
	// closes l, tells its clients and lets them go.
	Serve(ctx context.Context, l transport.Listener) error
}
