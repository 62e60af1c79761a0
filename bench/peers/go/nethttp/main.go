// Go's net/http over HTTP/2: nethttp PORT CAFILE PUSHES [connections]; prints CPU seconds and wall seconds.
//
// Used the way sideshow/apns2 uses it, less that library's own work: a goroutine per push under way, and a client with
// a transport per connection.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	inFlight = 900 // for each connection
	warmUp   = 2000
)

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

type aps struct {
	Alert alert `json:"alert"`
	Badge int   `json:"badge"`
}

type payload struct {
	Aps   aps `json:"aps"`
	Order int `json:"order"`
}

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func push(client *http.Client, base string, number int) {
	text := fmt.Sprintf("Your order %d has left our warehouse and will be with you tomorrow.", number)
	body, _ := json.Marshal(payload{aps{alert{"On its way", text}, number % 100}, number})
	request, _ := http.NewRequest("POST", fmt.Sprintf("%s/3/device/%064x", base, number), bytes.NewReader(body))
	request.Header.Set("authorization", "bearer "+os.Getenv("PEER_TOKEN"))
	request.Header.Set("apns-id", fmt.Sprintf("27cfdc15-e305-27e0-e290-%012x", number))
	request.Header.Set("apns-topic", "com.example.app")
	request.Header.Set("apns-push-type", "alert")
	request.Header.Set("apns-priority", "10")
	answer, err := client.Do(request)
	if err != nil || answer.StatusCode != 200 {
		fmt.Fprintln(os.Stderr, "push failed:", err)
		os.Exit(1)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func send(clients []*http.Client, base string, count int) {
	numbers := make(chan int)
	var group sync.WaitGroup
	for _, client := range clients {
		for i := 0; i < inFlight; i++ {
			group.Add(1)
			go func(client *http.Client) {
				defer group.Done()
				for number := range numbers {
					push(client, base, number)
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
	roots := x509.NewCertPool()
	pem, _ := os.ReadFile(os.Args[2])
	roots.AppendCertsFromPEM(pem)
	count, _ := strconv.Atoi(os.Args[3])
	connections := 1
	if len(os.Args) > 4 {
		connections, _ = strconv.Atoi(os.Args[4])
	}
	base := "https://127.0.0.1:" + os.Args[1]
	clients := make([]*http.Client, connections)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxConnsPerHost: 1,
		}}
		push(clients[i], base, i) // one alone, so that all share its connection
	}
	send(clients, base, warmUp)
	used, begin := cpu(), time.Now()
	send(clients, base, count)
	fmt.Println(cpu()-used, time.Since(begin).Seconds())
}
