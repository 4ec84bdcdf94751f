<?php
/** The shop as a browser and its proxy ask it, for the programs of bin. */

namespace Store;

final class Shop
{
	/** @var array<string, string> cookies that the shop has set */
	private array $cookies = [];

	/**
	 * @param string $url the shop's URL
	 * @param string $connect SCHEME://HOST:PORT to connect to instead of the URL's
	 */
	public function __construct(private readonly string $url, private readonly string $connect, private readonly int $timeout)
	{
	}

	/** @return array{status: int, headers: array<string, string>, body: string} */
	public function request(string $method, string $path, array $headers = [], ?string $body = null): array
	{
		$public = parse_url($this->url);
		$target = parse_url($this->connect);
		$port = $target['port'] ?? ($target['scheme'] === 'https' ? 443 : 80);
		$answered = [];
		$curl = curl_init();
		$send = [
			"Host: {$public['host']}" . (isset($public['port']) ? ":{$public['port']}" : ''),
			// What a proxy that terminates TLS would say, when there is none on the way.
			"X-Forwarded-Proto: {$public['scheme']}",
			...$headers,
		];
		if ($this->cookies) {
			$send[] = 'Cookie: ' . implode('; ', array_map(static fn ($name, $value) => "$name=$value", array_keys($this->cookies), $this->cookies));
		}
		curl_setopt_array($curl, [
			CURLOPT_CUSTOMREQUEST => $method,
			CURLOPT_URL => "{$target['scheme']}://{$public['host']}:$port$path",
			CURLOPT_CONNECT_TO => ["{$public['host']}:$port:{$target['host']}:$port"],
			CURLOPT_HTTPHEADER => $send,
			CURLOPT_RETURNTRANSFER => true,
			CURLOPT_TIMEOUT => $this->timeout,
			CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$answered): int {
				[$name, $value] = array_map(trim(...), explode(':', $line, 2) + [1 => '']);
				$answered[strtolower($name)] = $value;
				if (strtolower($name) === 'set-cookie' && preg_match('/^([^=]+)=([^;]*)/', $value, $cookie)) {
					$this->cookies[$cookie[1]] = $cookie[2];
				}
				return \strlen($line);
			},
		]);
		if ($body !== null) {
			curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
		}
		$text = curl_exec($curl);
		if ($text === false) {
			throw new \RuntimeException("$method $path: " . curl_error($curl));
		}
		return ['status' => curl_getinfo($curl, CURLINFO_RESPONSE_CODE), 'headers' => $answered, 'body' => $text];
	}

	/** The decoded body of a 2xx answer; headers of it go to $answered. */
	public function json(string $method, string $path, array $headers = [], ?array $body = null, ?array &$answered = null): mixed
	{
		$text = $body === null ? null : json_encode($body, JSON_THROW_ON_ERROR);
		$answer = $this->request($method, $path, [...$headers, 'Accept: application/json', ...($text === null ? [] : ['Content-Type: application/json'])], $text);
		$answered = $answer['headers'];
		$decoded = json_decode($answer['body'], true);
		if ($answer['status'] < 200 || $answer['status'] > 299 || $decoded === null) {
			$message = \is_array($decoded) ? $decoded['message'] ?? $answer['body'] : $answer['body'];
			throw new \RuntimeException("$method $path: status {$answer['status']}: " . substr($message, 0, 200));
		}
		return $decoded;
	}
}
