package client_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/clienttest"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMosquitto(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			clienttest.Run(t, v, client.New, clienttest.Mosquitto)
		})
	}
}
