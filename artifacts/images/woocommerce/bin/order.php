<?php
/** Places an order as a shopper does, then finds it as the owner does. See --help. */

namespace Store;

require __DIR__ . '/../lib/http.php';

const USAGE = <<<'END'
Usage: order.php --url URL [flags]

Places an order in a store and verifies it in the store's admin.

  --url URL                the store's URL (env STORE_URL)
  --connect [SCHEME://]HOST:PORT
                           connect there instead of to the URL's host; with a
                           scheme, speak that one instead of the URL's
  --credentials FOLDER     folder with the files admin-email and admin-password,
                           such as a mounted Secret
  --admin-email ADDRESS    admin login (env ADMIN_EMAIL)
  --admin-password WORD    admin login (env ADMIN_PASSWORD; prefer it or --credentials,
                           a flag is seen in the list of processes)
  --timeout SECONDS        for each request (10)
  --output text|json       what to print (text)
  --login-only             place no order, for a store without WooCommerce: see that
                           it answers, and log in to its admin

Exits with 0 only if the admin shows the order as it was placed.

END;

const STORE_API = '/wp-json/wc/store/v1';

try {
	exit(main());
} catch (\Throwable $e) {
	fail($e->getMessage());
}

function main(): int
{
	$flags = flags();
	$connect = $flags['connect'] ?? $flags['url'];
	if (!str_contains($connect, '://')) {
		$connect = parse_url($flags['url'], PHP_URL_SCHEME) . "://$connect";
	}
	$shop = new Shop($flags['url'], $connect, (int) ($flags['timeout'] ?? 10));
	if (isset($flags['login-only'])) {
		$shop->json('GET', '/ready');
		log_in($shop, $flags);
		echo "the store answers and its owner can log in; no order was placed\n";
		return 0;
	}
	$order = place_order($shop);
	verify_order($shop, $order, log_in($shop, $flags));
	echo ($flags['output'] ?? 'text') === 'json'
		? json_encode(['id' => $order['id'], 'number' => $order['number'], 'total' => $order['total'], 'currency' => $order['currency']]) . "\n"
		: "order #{$order['number']}: {$order['total']} {$order['currency']}\n";
	return 0;
}

function flags(): array
{
	$flags = getopt('h', ['url:', 'connect:', 'credentials:', 'admin-email:', 'admin-password:', 'timeout:', 'output:', 'login-only', 'help'], $rest);
	if (isset($flags['h']) || isset($flags['help'])) {
		echo USAGE;
		exit(0);
	}
	if ($rest !== \count($_SERVER['argv'])) {
		fail("unknown argument {$_SERVER['argv'][$rest]}", 2);
	}
	$flags['url'] ??= (string) getenv('STORE_URL');
	if (parse_url($flags['url'], PHP_URL_HOST) === null) {
		fail('--url must be the store\'s URL', 2);
	}
	if ((int) ($flags['timeout'] ?? 10) <= 0) {
		fail('--timeout must be a positive number', 2);
	}
	if (!\in_array($flags['output'] ?? 'text', ['text', 'json'], true)) {
		fail('--output must be text or json', 2);
	}
	return $flags;
}

function fail(string $message, int $code = 1): never
{
	fwrite(STDERR, "order: $message\n");
	exit($code);
}

/** A flag wins over the environment, and that over the folder. */
function credential(array $flags, string $name): string
{
	$value = $flags[$name] ?? getenv(strtoupper(strtr($name, '-', '_')));
	if ($value !== false && $value !== '') {
		return $value;
	}
	if (!isset($flags['credentials'])) {
		throw new \RuntimeException("no $name: give a flag, a variable or --credentials");
	}
	$value = @file_get_contents("{$flags['credentials']}/$name");
	return $value !== false ? $value : throw new \RuntimeException("cannot read {$flags['credentials']}/$name");
}

/** @return array{id: int, number: string, total: string, currency: string, email: string, product: int, quantity: int} */
function place_order(Shop $shop): array
{
	$products = $shop->json('GET', STORE_API . '/products?per_page=20');
	$product = array_values(array_filter($products, static fn (array $p): bool => $p['is_purchasable'] && $p['is_in_stock'] && $p['type'] === 'simple'))[0]
		?? throw new \RuntimeException('no product is for sale');

	$shop->json('GET', STORE_API . '/cart', [], null, $answered);
	$cart = ['Cart-Token: ' . ($answered['cart-token'] ?? throw new \RuntimeException('the shop gives no cart token'))];
	$shop->json('POST', STORE_API . '/cart/add-item', $cart, ['id' => $product['id'], 'quantity' => 2]);
	$address = [
		'first_name' => 'Sam', 'last_name' => 'Shopper', 'address_1' => '1 Market Street', 'city' => 'Berlin',
		'postcode' => '10115', 'country' => 'DE', 'state' => '', 'email' => 'shopper@example.com', 'phone' => '030123456',
	];
	$addresses = ['billing_address' => $address, 'shipping_address' => array_diff_key($address, ['email' => 0])];
	$filled = $shop->json('POST', STORE_API . '/cart/update-customer', $cart, $addresses);
	if ($filled['needs_shipping'] && ($filled['shipping_rates'][0]['shipping_rates'] ?? []) === []) {
		throw new \RuntimeException("the store does not ship to {$address['country']}");
	}
	if (!\in_array('cod', $filled['payment_methods'], true)) {
		throw new \RuntimeException('the store does not offer cash on delivery');
	}
	$placed = $shop->json('POST', STORE_API . '/checkout', $cart, $addresses + ['payment_method' => 'cod']);
	if (($placed['payment_result']['payment_status'] ?? '') !== 'success') {
		throw new \RuntimeException("the cart did not become an order: {$placed['status']}");
	}
	return [
		'id' => $placed['order_id'],
		'number' => $placed['order_number'] ?? (string) $placed['order_id'],
		'total' => amount($filled['totals']),
		'currency' => $filled['totals']['currency_code'],
		'email' => $address['email'],
		'product' => $product['id'],
		'quantity' => 2,
	];
}

/** The Store API gives totals in the currency's smallest unit, the admin's in its main one. */
function amount(array $totals): string
{
	$digits = (int) $totals['currency_minor_unit'];
	return number_format((int) $totals['total_price'] / 10 ** $digits, $digits, '.', '');
}

/** Logs in by the form, as a person does, and returns the key to the admin's API. */
function log_in(Shop $shop, array $flags): string
{
	$shop->request('GET', '/wp-login.php');
	$answer = $shop->request('POST', '/wp-login.php', ['Content-Type: application/x-www-form-urlencoded'], http_build_query([
		'log' => credential($flags, 'admin-email'),
		'pwd' => credential($flags, 'admin-password'),
		'testcookie' => 1,
	]));
	if ($answer['status'] !== 302) {
		$reason = preg_match('/id="login_error">(.*?)<\/div>/s', $answer['body'], $error) ? trim(strip_tags($error[1])) : "status {$answer['status']}";
		throw new \RuntimeException("logging in to the admin: $reason");
	}
	$nonce = $shop->request('GET', '/wp-admin/admin-ajax.php?action=rest-nonce');
	if ($nonce['status'] !== 200 || $nonce['body'] === '') {
		throw new \RuntimeException("the admin does not know its owner: status {$nonce['status']}");
	}
	return $nonce['body'];
}

function verify_order(Shop $shop, array $placed, string $nonce): void
{
	$shown = $shop->json('GET', "/wp-json/wc/v3/orders/{$placed['id']}", ["X-WP-Nonce: $nonce"]);
	$seen = [
		'number' => (string) $shown['number'],
		'total' => $shown['total'],
		'currency' => $shown['currency'],
		'email' => $shown['billing']['email'],
		'product' => $shown['line_items'][0]['product_id'],
		'quantity' => $shown['line_items'][0]['quantity'],
	];
	foreach ($seen as $name => $value) {
		if ($value !== $placed[$name]) {
			throw new \RuntimeException("the admin shows $name $value of order {$placed['id']}, not {$placed[$name]}");
		}
	}
}
