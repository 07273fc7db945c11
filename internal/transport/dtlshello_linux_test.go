package transport

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// A line on which answers leave more slowly than forged hellos come in holds up
// the answers, and not what clients send.
func TestAnswersToForgedHellosHoldNobodyUp(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		ca := newTestCA(t)
		l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, WriteBufferBytes: 5000})
		client, srv := dtlsPair(t, l, conns, ca.client)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, slow := range []string{
			"qdisc add dev lo root handle 1: htb default 2",
			"class add dev lo parent 1: classid 1:2 htb rate 1gbit quantum 1500",
			"class add dev lo parent 1: classid 1:3 htb rate 8kbit quantum 1500",
			"filter add dev lo parent 1: protocol ip u32 match ip sport " + port + " 0xffff flowid 1:3",
		} {
			if out, err := exec.CommandContext(t.Context(), "tc", strings.Fields(slow)...).CombinedOutput(); err != nil {
				t.Skipf("there are no slow lines here: %v %s", err, out)
			}
		}
		raw := rawDial(t, l)
		for range 500 { // whose answers take half a minute
			send(t, raw, string(clientHello(randomBytes(32), 0, nil)))
		}
		_ = srv.SetReadDeadline(deadline())
		arrived := make(chan error, 1)
		go func() {
			_, err := srv.Read(make([]byte, 100))
			arrived <- err
		}()
		for {
			send(t, client, "genuine") // the kernel may drop it among so many
			select {
			case err := <-arrived:
				if err != nil {
					t.Error(err)
				}
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}
