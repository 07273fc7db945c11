package emqtcp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
)

func TestConfigProblems(t *testing.T) {
	if err := (emqtcp.Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	for _, tc := range []struct {
		c    emqtcp.Config
		want string
	}{
		{emqtcp.Config{IdleTimeout: -time.Second}, "idle_timeout: -1s is negative"},
		{emqtcp.Config{SendTimeout: -1}, "send_timeout: "},
		{emqtcp.Config{MaxPacketSize: 65536}, "max_packet_size: 65536 is not between 1 and 65535"},
		{emqtcp.Config{MaxConnectSize: 10}, "max_connect_size: 10 is not between 64 and 65535"},
		{emqtcp.Config{PendingBytes: -1}, "pending_bytes: "},
		{emqtcp.Config{KeepaliveFactor: 0.5}, "keepalive_factor: 0.5 is not between 1 and 100"},
		{emqtcp.Config{UpTopic: "a/+/%c"}, "up_topic: "},
		{emqtcp.Config{UpTopic: "a/%d"}, "up_topic: %d is no placeholder"},
		{emqtcp.Config{DnTopic: "a#"}, "dn_topic: "},
		{emqtcp.Config{DnTopic: "a/%n"}, "dn_topic: %n is no placeholder"},
	} {
		if err := tc.c.Validate(); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc.c, err)
		}
		if _, err := emqtcp.New(tc.c, nil); err == nil {
			t.Errorf("%+v is taken", tc.c)
		}
	}
	good := emqtcp.Config{UpTopic: "100%/%c%u", DnTopic: "tcp/%c/#", KeepaliveFactor: 1, MaxPacketSize: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
