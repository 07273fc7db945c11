package dissecttest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Captures is the directory of recordings that nobody on this project made, which
// are not part of the repository: IOTCTL_CAPTURES, or one beside the repository, for
// packages right below internal. Without it the test is skipped.
func Captures(t testing.TB) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "captures")
	if d := os.Getenv("IOTCTL_CAPTURES"); d != "" {
		dir = d
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no captures: %v", err)
	}
	return dir
}

var frames = sync.OnceValues(dissect.Frames)

// All are the dissectors of the program.
func All(t testing.TB) []dissect.Dissector {
	t.Helper()
	defined, err := frames()
	if err != nil {
		t.Fatal(err)
	}
	return append([]dissect.Dissector{
		dissect.MQTT{},
		dissect.EMQTCP{},
		dissect.IOTText{},
		dissect.MQTTSN{},
		dissect.MQTTSN{Draft: true},
		dissect.COAP{},
		dissect.COAP{Over: dissect.OverTCP},
		dissect.COAP{Over: dissect.OverWebSocket},
	}, defined...)
}
