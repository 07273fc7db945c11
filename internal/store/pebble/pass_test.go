package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// A message that a batch passes from one queue to another is in one of them,
// also after a power cut right behind it.
func TestMessagePassesFromQueueToQueueInOneBatch(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openMem(t, disk)
	m := &message.Message{Topic: "t", Payload: make([]byte, 100)}
	apply(t, s, create("one"), create("two"), create("three"), queued("one", 1, m), queued("two", 1, m))
	apply(
		t, s,
		queued("three", 1, m), store.Op{Kind: store.Delete, Record: store.Released{ClientID: "one", Seq: 1}},
		queued("three", 2, m), store.Op{Kind: store.Delete, Record: store.Released{ClientID: "two", Seq: 1}},
	)
	image := openMem(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	for client, want := range map[string]int{"one": 0, "two": 0, "three": 2} {
		page, err := image.Queue(t.Context(), client, 0, 2)
		if err != nil || len(page) != want {
			t.Errorf("%s has %d messages, want %d; %v", client, len(page), want, err)
		}
	}
}
