package iottext_test

import (
	"testing"
	"time"

	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	if err := (gw.Config{}).Validate(); err != nil {
		t.Error(err)
	}
	err := gw.Config{
		TopicPrefix: "a/#", MaxLineBytes: 100, HelloUnanswered: -1, MaxSubscriptions: -2, PendingBytes: -3,
		HelloInterval: -time.Second, ConnectTimeout: -time.Second, ApprovalTimeout: -time.Second, ApprovalInterval: -time.Second, SendTimeout: -time.Second,
	}.Validate()
	const want = `max_line_bytes: 100 is not between 256 and 65536
hello_unanswered: -1 is negative
max_subscriptions: -2 is negative
pending_bytes: -3 is negative
hello_interval: -1s is negative
connect_timeout: -1s is negative
approval_timeout: -1s is negative
approval_interval: -1s is negative
send_timeout: -1s is negative
topic_prefix: topic name "a/#/var/name": contains a wildcard [MQTT-4.7.0-1]`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	if err := (gw.Config{TopicPrefix: "$SYS"}).Validate(); err == nil {
		t.Error("$SYS is a prefix")
	}
	if _, err := gw.New(gw.Config{MaxLineBytes: 1}, nil); err == nil {
		t.Error("a gateway was made of it")
	}
}
