// sideshow/apns2: apns2 PORT CAFILE PUSHES [connections]; prints CPU seconds and wall seconds.
//
// A goroutine per push under way, and a client per connection (a client keeps one). The client is made by NewClient as
// ever; the host is named in its field, and the CA is set in the TLS configuration of the transport it comes with.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/payload"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

const (
	inFlight = 900 // for each connection
	warmUp   = 2000
)

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func fail(words ...any) {
	fmt.Fprintln(os.Stderr, words...)
	os.Exit(1)
}

func clientOf(port string, roots *x509.CertPool) *apns2.Client {
	client := apns2.NewClient(tls.Certificate{})
	client.Host = "https://127.0.0.1:" + port
	client.Token = &token.Token{Bearer: os.Getenv("PEER_TOKEN"), IssuedAt: time.Now().Unix()}
	client.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return client
}

func push(client *apns2.Client, number int) {
	text := fmt.Sprintf("Your order %d has left our warehouse and will be with you tomorrow.", number)
	answer, err := client.Push(&apns2.Notification{
		DeviceToken: fmt.Sprintf("%064x", number),
		ApnsID:      fmt.Sprintf("27cfdc15-e305-27e0-e290-%012x", number),
		Topic:       "com.example.app",
		PushType:    apns2.PushTypeAlert,
		Priority:    apns2.PriorityHigh,
		Payload:     payload.NewPayload().AlertTitle("On its way").AlertBody(text).Badge(number%100).Custom("order", number),
	})
	if err != nil {
		fail("push failed:", err)
	}
	if !answer.Sent() {
		fail("push refused:", answer.StatusCode, answer.Reason)
	}
}

func send(clients []*apns2.Client, count int) {
	numbers := make(chan int)
	var group sync.WaitGroup
	for _, client := range clients {
		for i := 0; i < inFlight; i++ {
			group.Add(1)
			go func(client *apns2.Client) {
				defer group.Done()
				for number := range numbers {
					push(client, number)
				}
			}(client)
		}
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	group.Wait()
}

func main() {
	pem, err := os.ReadFile(os.Args[2])
	if err != nil {
		fail(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	count, _ := strconv.Atoi(os.Args[3])
	connections := 1
	if len(os.Args) > 4 {
		connections, _ = strconv.Atoi(os.Args[4])
	}
	clients := make([]*apns2.Client, connections)
	for i := range clients {
		clients[i] = clientOf(os.Args[1], roots)
		push(clients[i], i) // one alone, so that all share its connection
	}
	send(clients, warmUp)
	used, begin := cpu(), time.Now()
	send(clients, count)
	fmt.Println(cpu()-used, time.Since(begin).Seconds())
}
